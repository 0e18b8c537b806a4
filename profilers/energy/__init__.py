"""Joules of a target: sources behind one contract, windows over them, a protocol of windows, and what this machine has.

Start with `probe.find_sources` (what can be measured here, and what to do where it cannot), `probe.open_source`, and
`interleaved.measure_energy`. A figure is measured, or an estimate that was asked for, or unavailable with a reason; never a guess.
"""
