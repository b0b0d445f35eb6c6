"""An embedding whose rows are products of a row for the number's quotient and a row for its remainder."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from sketches.core import bounds
from sketches.nn.torch.hashed.module import check_ids

__all__ = ["QuotientRemainderEmbedding"]

STEPS = 50  # of alternating least squares


class QuotientRemainderEmbedding(nn.Module):
    """`torch.nn.Embedding` by two small tables: row i is ``quotient[i // buckets] * remainder[i % buckets]``.

    Rows are multiplied element by element. No two numbers share both rows, so that every number has a row of its own,
    unlike with one hashed table: M rows take ``buckets + ceil(M / buckets)``, at least about 2 √M. All rows of one
    quotient are scalings of one another, element by element.

    Parameters
    ----------
    num_embeddings, embedding_dim, device, dtype
        As of `torch.nn.Embedding`.
    buckets
        Rows of the table of remainders, in [1, num_embeddings]; None: √num_embeddings, rounded up, the fewest rows.

    Attributes
    ----------
    quotient, remainder
        The trained tables, of shape (ceil(num_embeddings / buckets), embedding_dim) and (buckets, embedding_dim).

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted.

    References
    ----------
    H.-J. M. Shi, D. Mudigere, M. Naumov and J. Yang, "Compositional embeddings using complementary partitions for
    memory-efficient recommendation systems", KDD 2020 (section 3, the quotient-remainder trick by multiplication).

    Examples
    --------
    >>> import torch
    >>> from sketches.nn import QuotientRemainderEmbedding
    >>> table = QuotientRemainderEmbedding(1_000_000, 16)
    >>> table.quotient.shape, table.remainder.shape
    (torch.Size([1000, 16]), torch.Size([1000, 16]))
    >>> row = table(torch.tensor(123_456))
    >>> bool(torch.equal(row, table.quotient[123] * table.remainder[456]))
    True
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        device: Any = None,
        dtype: Any = None,
        *,
        buckets: int | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = bounds.check_integer("num_embeddings", num_embeddings, 1, 2**62)
        self.embedding_dim = bounds.check_integer("embedding_dim", embedding_dim, 1, 2**31)
        if buckets is None:
            buckets = math.isqrt(num_embeddings - 1) + 1
        self.buckets = bounds.check_integer("buckets", buckets, 1, num_embeddings)
        quotients = -(-num_embeddings // self.buckets)
        self.quotient = nn.Parameter(torch.empty(quotients, embedding_dim, device=device, dtype=dtype))
        self.remainder = nn.Parameter(torch.empty(self.buckets, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables again; elements of rows have mean 0 and variance 1, as those of `torch.nn.Embedding`."""
        nn.init.normal_(self.quotient)
        nn.init.normal_(self.remainder)

    @classmethod
    def from_embedding(cls, embedding: nn.Embedding, *, buckets: int | None = None) -> Self:
        """Give the two tables whose products are close to a trained table, by alternating least squares.

        Each element of rows is a matrix, quotients by remainders, of which the tables hold an approximation of rank
        one; no step raises the squared error. Fine-tune afterwards. Of the options of `embedding`, such as padding_idx
        and max_norm, none is kept, and both tables are trained.

        Raises
        ------
        TypeError, ValueError
            If `embedding` is none, has no values or is not finite, or `buckets` is out of range.
        """
        if not isinstance(embedding, nn.Embedding):
            raise TypeError(f"embedding is of type {type(embedding).__name__}; a torch.nn.Embedding is accepted")
        table = embedding.weight.detach()
        if table.is_meta:
            raise ValueError("embedding.weight has no values: it is on the device meta")
        if not bool(table.isfinite().all()):
            raise ValueError("embedding.weight holds NaN or infinity")
        made = cls(table.shape[0], table.shape[1], "meta", table.dtype, buckets=buckets)
        quotients, missing = len(made.quotient), len(made.quotient) * made.buckets - len(table)
        matrix = nn.functional.pad(table.double(), (0, 0, 0, missing)).view(quotients, made.buckets, -1)
        there = torch.ones(quotients * made.buckets, 1, dtype=torch.float64, device=table.device)
        there[len(table) :] = 0
        there = there.view(quotients, made.buckets, 1)
        random = torch.Generator("cpu").manual_seed(0)
        remainder = torch.randn(made.buckets, table.shape[1], generator=random, dtype=torch.float64, device="cpu").to(
            table.device
        )
        quotient = remainder.new_zeros(quotients, table.shape[1])
        for _ in range(STEPS):
            quotient = _solve((matrix * remainder).sum(1), (there * remainder.square()).sum(1))
            remainder = _solve((matrix * quotient[:, None]).sum(0), (there * quotient[:, None].square()).sum(0))
        scale = (
            _solve(remainder.square().mean(0), quotient.square().mean(0)) ** 0.25
        )  # equal sizes: no step is too large
        made.quotient = nn.Parameter((quotient * scale).to(table.dtype))
        made.remainder = nn.Parameter((remainder / scale.masked_fill(scale == 0, 1)).to(table.dtype))
        return made

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        """Give the rows of these numbers (int32 or int64), of shape (*input.shape, embedding_dim)."""
        check_ids(input, self.num_embeddings)
        quotients = torch.div(input, self.buckets, rounding_mode="floor")
        quotient = nn.functional.embedding(quotients, self.quotient)
        return quotient * nn.functional.embedding(input - quotients * self.buckets, self.remainder)

    @property
    def weight(self) -> Tensor:
        """The virtual table."""
        return self.forward(torch.arange(self.num_embeddings, device=self.quotient.device))

    def extra_repr(self) -> str:
        """Say what is special about the layer."""
        return f"{self.num_embeddings}, {self.embedding_dim}, buckets={self.buckets}"


def _solve(product: Tensor, square: Tensor) -> Tensor:
    """Divide, where there is something to divide by."""
    return product / square.masked_fill(square == 0, 1)
