"""The doctor's lines on energy say what the probes say: evidence always, a remedy where something is missing."""

from paredown.doctor import examine
from paredown.doctor.energy import look_at_energy
from paredown.profilers.energy.probe import NAMES, SourceState


def test_a_source_that_counts_and_one_that_does_not() -> None:
    sources = (
        SourceState("rapl", "cpu", False, "measured", ("/sys/x: mode 400",), "readable by root alone", "sudo chmod a+r /sys/x"),
        SourceState("battery", "machine", True, "measured", ("BAT0: 50 Wh",)),
    )
    rapl, battery = look_at_energy(sources)
    assert (rapl.state, rapl.found, rapl.enable) == ("missing", "readable by root alone", "sudo chmod a+r /sys/x")
    assert (battery.state, battery.subject, battery.evidence) == ("ok", "whole machine (battery)", "BAT0: 50 Wh")


def test_this_machine_is_examined_whole() -> None:
    findings = examine()
    subjects = [finding.subject for finding in findings]
    assert len(set(subjects)) == len(subjects)
    assert {"software", "processor", "quiet", "GPU", "energy"} == {finding.section for finding in findings}
    assert sum(finding.section == "energy" for finding in findings) == len(NAMES)
    assert all(finding.evidence for finding in findings)
