"""A Mix Transformer written out from a state dict alone: plain torch, whole matrices."""

import torch
from torch.nn import functional as F

HEADS, REDUCTIONS = (1, 2, 5, 8), (8, 4, 2, 1)


def levels(weights, x_NCHW, *, embedding_eps, block_eps=1e-6):
    """Feature maps of the four stages.

    Args:
        weights: of the encoder, by mmseg's names.
        x_NCHW: normalised images.
        embedding_eps: of the norms behind patch embeddings and reductions.
        block_eps: of all other norms.
    """
    found = []
    for stage, (heads, reduction) in enumerate(zip(HEADS, REDUCTIONS, strict=True)):
        at = f"layers.{stage}"
        kernel, stride = (7, 4) if stage == 0 else (3, 2)
        projection = [weights[f"{at}.0.projection.{part}"] for part in ("weight", "bias")]
        x_NCHW = F.conv2d(x_NCHW, *projection, stride=stride, padding=kernel // 2)
        size = x_NCHW.shape[2:]
        tokens = norm(x_NCHW.flatten(2).transpose(1, 2), weights, f"{at}.0.norm", embedding_eps)
        block = 0
        while f"{at}.1.{block}.norm1.weight" in weights:
            key = f"{at}.1.{block}"
            normed = norm(tokens, weights, f"{key}.norm1", block_eps)
            reduced = normed
            if reduction > 1:
                layer = [weights[f"{key}.attn.sr.{part}"] for part in ("weight", "bias")]
                reduced = F.conv2d(as_map(normed, size), *layer, stride=reduction).flatten(2).transpose(1, 2)
                reduced = norm(reduced, weights, f"{key}.attn.norm", embedding_eps)
            tokens = tokens + attention(normed, reduced, weights, f"{key}.attn.attn", heads)
            normed = norm(tokens, weights, f"{key}.norm2", block_eps)
            first, depthwise, second = (
                [weights[f"{key}.ffn.layers.{index}.{part}"] for part in ("weight", "bias")]
                for index in (0, 1, 4)
            )
            hidden = F.conv2d(as_map(normed, size), *first)
            hidden = F.gelu(F.conv2d(hidden, *depthwise, padding=1, groups=len(depthwise[0])))
            tokens = tokens + F.conv2d(hidden, *second).flatten(2).transpose(1, 2)
            block += 1
        x_NCHW = as_map(norm(tokens, weights, f"{at}.2", block_eps), size)
        found.append(x_NCHW)
    return found


def attention(queries, others, weights, at, heads):
    channels = queries.shape[2]
    parts = zip(weights[f"{at}.in_proj_weight"].chunk(3), weights[f"{at}.in_proj_bias"].chunk(3), strict=True)
    q, k, v = (F.linear(x, *part) for x, part in zip((queries, others, others), parts, strict=True))
    mixed = []
    for head in range(heads):
        of = slice(head * channels // heads, (head + 1) * channels // heads)
        shares = (q[..., of] @ k[..., of].transpose(1, 2) / (channels // heads) ** 0.5).softmax(dim=2)
        mixed.append(shares @ v[..., of])
    return F.linear(torch.cat(mixed, 2), weights[f"{at}.out_proj.weight"], weights[f"{at}.out_proj.bias"])


def norm(x, weights, at, eps):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * weights[f"{at}.weight"] + weights[f"{at}.bias"]


def as_map(tokens_BNC, size):
    return tokens_BNC.transpose(1, 2).reshape(len(tokens_BNC), -1, *size)
