"""Distillation on logits: how far the decoder's posteriors are from a teacher's, of which the most probable tokens are known."""

import torch
from torch import Tensor

from paredown.recover.top_k import TopK


def teacher_divergence(logits: Tensor, teacher: TopK) -> Tensor:
    """KL(teacher || student) of every position, in nats: logits [utterances, positions, tokens] -> [utterances, positions].

    All tokens outside the teacher's k are one bucket, in both. Positions without a teacher (ids of -1) get 0. What k half-precision numbers
    sum to beyond 1 is scaled down.
    """
    known = teacher.ids >= 0
    ids, logs = teacher.ids.clamp(min=0).long(), teacher.logs.float().masked_fill(~known, -torch.inf)
    student = torch.log_softmax(logits.float(), dim=-1)
    ours, theirs = student.gather(-1, ids), logs.exp()
    if ids.size(-1) < logits.size(-1):
        rest = (1.0 - theirs.sum(-1, keepdim=True)).clamp(min=0.0)
        hidden = torch.zeros_like(student, dtype=torch.bool).scatter(-1, ids, True)
        ours = torch.cat([ours, student.masked_fill(hidden, -torch.inf).logsumexp(-1, keepdim=True)], -1)
        theirs = torch.cat([theirs, rest], -1)
    theirs = theirs / theirs.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    terms = torch.special.xlogy(theirs, theirs) - torch.where(theirs > 0, theirs * ours, 0.0)
    return torch.where(known.any(-1), terms.sum(-1), 0.0)
