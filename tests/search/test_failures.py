"""Whose fault a failure is, when two are one, and when a study stops."""

import errno
import os
import sqlite3
from concurrent.futures import CancelledError

import pytest
import sqlalchemy.exc

from paredown.errors import BadInput
from paredown.search.failures import Failures, StudyStopped, cause_of, is_of_configuration, reason_of
from paredown.search.objective import read_values
from paredown.search.outcome import Rejected
from tests.search.toy import outcome, toy_spec


def raised(error: BaseException, behind: BaseException) -> BaseException:
    """The error as it looks where another one led to it."""
    try:
        try:
            raise behind
        except BaseException as first:
            raise error from first
    except BaseException as caught:
        return caught


def infinite() -> ValueError:
    with pytest.raises(ValueError, match="finite") as caught:
        read_values(toy_spec().objective_list, outcome(float("inf"), 1.0, 1.0))
    return caught.value


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/file")


@pytest.mark.parametrize(
    ("error", "of_configuration"),
    [
        (Rejected("its graph differs from torch by 0.01"), True),
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (FloatingPointError("overflow"), True),
        (infinite(), True),
        (RuntimeError("[ONNXRuntimeError] : 1 : FAIL : bad node"), True),
        (ZeroDivisionError(), True),
        (BadInput("no such file"), False),
        (FULL, False),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), False),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (raised(RuntimeError("the writer failed"), FULL), False),
        (RuntimeError(f"the archive could not be written: {os.strerror(errno.ENOSPC)}"), False),
        (sqlite3.OperationalError("database or disk is full"), False),
        (sqlite3.OperationalError("disk I/O error"), False),
        (
            raised(sqlalchemy.exc.OperationalError("insert", {}, Exception()), sqlite3.OperationalError("database or disk is full")),
            False,
        ),
        (ModuleNotFoundError("No module named 'torch'"), False),
        (CancelledError(), False),
        (KeyboardInterrupt(), False),
        (SystemExit(1), False),
    ],
)
def test_whose_fault(error: BaseException, of_configuration: bool) -> None:
    assert is_of_configuration(error) is of_configuration


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (Rejected("its graph differs by 0.01"), Rejected("its graph differs by 1.3e-05"), True),
        (Rejected("its graph differs by 0.01"), Rejected("its size differs by 0.01"), False),
        (ValueError("quality must be finite, got nan"), ValueError("quality must be finite, got -inf"), True),
        (ValueError("loss is 1"), RuntimeError("loss is 1"), False),
        (RuntimeError("bundle 0a1b2c3d4e5f is torn"), RuntimeError("bundle ffee00112233 is torn"), True),
        (RuntimeError("cannot read /tmp/x1/encoder.onnx: torn"), RuntimeError("cannot read /var/y/decoder.onnx: torn"), True),
        (
            RuntimeError("encoder.encoders.3.feed_forward.w_1 overflows"),
            RuntimeError("decoder.decoders.0.self_attn.linear_q overflows"),
            True,
        ),
        (MemoryError("Unable to allocate 1.5 GiB for shape (3, 4)"), MemoryError("Unable to allocate 20 GiB for shape (5, 4)"), True),
        (RuntimeError("killed by signal 9"), RuntimeError("exit code 9"), False),
        (RuntimeError("a\n  b"), RuntimeError("a b"), True),
        (RuntimeError("facade"), RuntimeError("deadbeef"), False),  # words are no digests
    ],
)
def test_one_cause_or_two(first: BaseException, second: BaseException, same: bool) -> None:
    assert (cause_of(first) == cause_of(second)) is same


def test_reasons_are_one_short_line() -> None:
    assert reason_of(Rejected("parity\nis 0.1")) == "parity is 0.1"
    assert reason_of(MemoryError()) == "MemoryError"
    assert reason_of(RuntimeError("a b")) == "RuntimeError: a b"
    assert len(reason_of(RuntimeError("x" * 10_000))) == 300


def test_the_third_failure_with_one_cause_stops_and_says_which() -> None:
    failures = Failures()
    failures.note(MemoryError("1 GB"), 4)
    failures.note(Rejected("parity 0.1"), 5)
    failures.note(MemoryError("2 GB"), 6)
    failures.note(Rejected("parity 0.2"), 7)
    with pytest.raises(StudyStopped) as caught:
        failures.note(MemoryError("3 GB"), 9)
    told = str(caught.value)
    assert "trials 4, 6 and 9 ended with: MemoryError: 3 GB" in told
    assert told.endswith("the same command goes on")
    assert "\n" not in told
    assert isinstance(caught.value, BadInput)  # exit code 2


def test_a_trial_that_works_begins_every_count_anew() -> None:
    failures = Failures()
    for number in range(0, 30, 3):
        failures.note(MemoryError(), number)
        failures.note(MemoryError(), number + 1)
        failures.worked()
    failures.note(MemoryError(), 30)
    failures.note(MemoryError(), 31)
    with pytest.raises(StudyStopped, match="30, 31 and 32"):
        failures.note(MemoryError(), 32)
