"""A Swin transformer written out window by window and token by token, from a state dict alone."""

import torch
from torch.nn import functional as F


def naive_bias(table, window):
    """Bias of every pair of tokens, by the formula, one pair at a time."""
    tokens = window * window
    bias = torch.empty(table.shape[1], tokens, tokens, dtype=table.dtype)
    for i in range(tokens):
        for j in range(tokens):
            dy, dx = i // window - j // window, i % window - j % window
            bias[:, i, j] = table[(dy + window - 1) * (2 * window - 1) + dx + window - 1]
    return bias


def naive_attention(x_BHWC, weights, heads, window, shift):
    """Softmax attention in each window of the shifted, zero-padded maps; the result cropped again."""
    batch, height, width, channels = x_BHWC.shape
    rows, columns = -(-height // window) * window, -(-width // window) * window
    bias_hNN = naive_bias(weights["relative_position_bias_table"], window)
    out = torch.zeros(batch, rows, columns, channels, dtype=x_BHWC.dtype)
    padded = torch.zeros_like(out)
    padded[:, :height, :width] = x_BHWC
    for image in range(batch):
        for top in range(0, rows, window):
            for left in range(0, columns, window):
                # Where the window's tokens lie in the unshifted map, and which of them came round the edge.
                places = [
                    (
                        (top + y + shift) % rows,
                        (left + x + shift) % columns,
                        top + y + shift >= rows,
                        left + x + shift >= columns,
                    )
                    for y in range(window)
                    for x in range(window)
                ]
                tokens = torch.stack([padded[image, y, x] for y, x, _, _ in places])
                qkv = F.linear(tokens, weights["qkv.weight"], weights.get("qkv.bias"))
                q, k, v = qkv.chunk(3, dim=1)
                mixed = []
                for head in range(heads):
                    of = slice(head * channels // heads, (head + 1) * channels // heads)
                    logits = q[:, of] @ k[:, of].T / (channels // heads) ** 0.5 + bias_hNN[head]
                    for i, (_, _, down, right) in enumerate(places):
                        for j, (_, _, other_down, other_right) in enumerate(places):
                            if (down, right) != (other_down, other_right):
                                logits[i, j] -= 100
                    mixed.append(logits.softmax(1) @ v[:, of])
                result = F.linear(torch.cat(mixed, 1), weights["proj.weight"], weights["proj.bias"])
                for (y, x, _, _), one in zip(places, result, strict=True):
                    out[image, y, x] = one
    return out[:, :height, :width]


def naive_block(x_BHWC, weights, heads, window, shift):
    attended = naive_attention(_norm(x_BHWC, weights, "norm1"), part(weights, "attn"), heads, window, shift)
    x_BHWC = x_BHWC + attended
    hidden = F.linear(_norm(x_BHWC, weights, "norm2"), weights["mlp.fc1.weight"], weights["mlp.fc1.bias"])
    return x_BHWC + F.linear(F.gelu(hidden), weights["mlp.fc2.weight"], weights["mlp.fc2.bias"])


def naive_merging(x_BHWC, weights):
    """Neighbours in the published order: upper left, lower left, upper right, lower right."""
    batch, height, width, channels = x_BHWC.shape
    merged = torch.zeros(batch, -(-height // 2), -(-width // 2), 4 * channels, dtype=x_BHWC.dtype)
    for y in range(height):
        for x in range(width):
            place = (y % 2) + 2 * (x % 2)
            merged[:, y // 2, x // 2, place * channels : (place + 1) * channels] = x_BHWC[:, y, x]
    return F.linear(_norm(merged, weights, "norm"), weights["reduction.weight"])


def naive_embedding(x_NCHW, weights, patch):
    height, width = x_NCHW.shape[2:]
    padded = F.pad(x_NCHW, (0, -width % patch, 0, -height % patch))
    tokens = F.conv2d(padded, weights["proj.weight"], weights["proj.bias"], stride=patch)
    return _norm(tokens.permute(0, 2, 3, 1), weights, "norm")


def naive_stage(x_BHWC, weights, depth, heads, window):
    for block in range(depth):
        of_block = part(weights, f"blocks.{block}")
        x_BHWC = naive_block(x_BHWC, of_block, heads, window, shift=window // 2 if block % 2 else 0)
    return x_BHWC


def output(x_BHWC, weights, stage):
    """A stage's map as it leaves the network."""
    return _norm(x_BHWC, weights, f"norm{stage}").permute(0, 3, 1, 2)


def part(weights, prefix):
    """The entries below a prefix, without it."""
    return {
        key.removeprefix(f"{prefix}."): value
        for key, value in weights.items()
        if key.startswith(f"{prefix}.")
    }


def _norm(x, weights, name):
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])
