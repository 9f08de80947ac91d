"""What processes that train one policy together tell each other: sums, and nothing else."""

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn


class Ranks:
    """This process among those of the launch (torchrun, accelerate launch); alone, it adds nothing to what it has."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def share(self, n: int) -> slice:
        """Which of `n` rows are this rank's: neighbours, and over all ranks each row once."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        return slice(rank * n // ranks, (rank + 1) * n // ranks)

    def sum(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each tensor added over the ranks, float64; every rank gives the same names and shapes. One exchange."""
        flat = torch.cat([part.double().flatten() for part in parts.values()])
        pieces = self.accelerator.reduce(flat, "sum").split([part.numel() for part in parts.values()])
        return {name: piece.view(part.shape) for (name, part), piece in zip(parts.items(), pieces, strict=True)}

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient, in place, becomes its sum over the ranks; none at all counts as 0."""
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        if self.accelerator.num_processes > 1:
            flat = self.accelerator.reduce(torch.cat([p.grad.flatten() for p in parameters]), "sum")
            for p, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
                p.grad.copy_(piece.view_as(p))

    def gather(self, rows: list) -> list:
        """Every rank's rows, in order."""
        return gather_object(rows)
