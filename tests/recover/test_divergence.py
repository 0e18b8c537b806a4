"""The divergence from a teacher of k tokens, against dense ones written out."""

import pytest
import torch

from paredown.recover.divergence import teacher_divergence
from paredown.recover.top_k import TopK


def _logits(seed: int, *shape: int) -> torch.Tensor:
    return 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _teacher(logits: torch.Tensor, k: int, dtype: torch.dtype = torch.float32) -> TopK:
    logs, ids = torch.log_softmax(logits, -1).topk(k, -1)
    return TopK(ids, logs.to(dtype))


def _dense(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="none").sum(-1)


def test_with_all_tokens_it_is_the_dense_divergence_and_so_are_its_gradients() -> None:
    student, theirs = _logits(0, 3, 4, 9).requires_grad_(), _logits(1, 3, 4, 9)
    found, expected = teacher_divergence(student, _teacher(theirs, 9)), _dense(student, theirs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad(value.sum(), student, retain_graph=True)[0] for value in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_rest_is_one_bucket(k: int) -> None:
    student, theirs = _logits(2, 5, 9), _logits(3, 5, 9)
    teacher = _teacher(theirs, k)
    for row in range(5):
        kept = teacher.ids[row].tolist()
        others = [token for token in range(9) if token not in kept]
        ours, wanted = student[row].softmax(-1), theirs[row].softmax(-1)
        merged = [torch.cat([p[kept], p[others].sum().view(1)]) for p in (ours, wanted)]
        expected = (merged[1] * (merged[1] / merged[0]).log()).sum()
        assert float(teacher_divergence(student, teacher)[row]) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)


def test_it_bounds_the_dense_divergence_from_below_and_vanishes_where_both_agree() -> None:
    student, theirs = _logits(4, 50, 9), _logits(5, 50, 9)
    assert bool((teacher_divergence(student, _teacher(theirs, 4)) <= _dense(student, theirs) + 1e-6).all())
    assert float(teacher_divergence(theirs, _teacher(theirs, 4)).abs().max()) < 1e-6


def test_positions_without_a_teacher_count_nothing_and_pass_no_gradient() -> None:
    student, teacher = _logits(6, 2, 9).requires_grad_(), _teacher(_logits(7, 2, 9), 3)
    gone = TopK(
        torch.where(torch.tensor([[True], [False]]), -1, teacher.ids), torch.where(torch.tensor([[True], [False]]), 0.0, teacher.logs)
    )
    found = teacher_divergence(student, gone)
    found.sum().backward()
    assert float(found[0].detach()) == 0.0
    assert student.grad is not None
    assert float(student.grad[0].abs().max()) == 0.0
    assert bool(student.grad.isfinite().all())
    assert float(student.grad[1].abs().max()) > 0.0


def test_half_precision_and_a_certain_teacher_do_no_harm() -> None:
    theirs = torch.cat([_logits(8, 20, 9), 40.0 * torch.eye(9)])
    student = _logits(9, 29, 9).requires_grad_()
    half, whole = (teacher_divergence(student, _teacher(theirs, 5, dtype)) for dtype in (torch.float16, torch.float32))
    torch.testing.assert_close(half, whole, rtol=0, atol=5e-3)  # half precision has 11 bits: 1e-3 of a logarithm
    half.sum().backward()
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
