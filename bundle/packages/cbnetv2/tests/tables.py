"""Keys and shapes of the published checkpoints, generated from their patterns and nothing else.

Values are shapes; () is a scalar.
"""

WINDOW = 7
TABLE_ROWS = (2 * WINDOW - 1) ** 2
INDEX = "attn.relative_position_index"


def cb_swin(channels, depths, heads):
    keys = _both(conv="cb_modules.0.patch_embed.proj", weight=(channels, 3, 4, 4))
    keys |= _affine("cb_modules.0.patch_embed.norm", channels)
    widths = [channels * 2**stage for stage in range(4)]
    for net in (0, 1):
        for stage, width in enumerate(widths):
            at = f"cb_modules.{net}.layers.{stage}"
            for block in range(depths[stage]):
                keys |= _swin_block(f"{at}.blocks.{block}", width, heads[stage])
            if stage < 3:
                keys |= _affine(f"{at}.downsample.norm", 4 * width)
                keys[f"{at}.downsample.reduction.weight"] = (2 * width, 4 * width)
            keys |= _affine(f"cb_modules.{net}.norm{stage}", width)
    for i, j in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)):
        keys |= _both(conv=f"cb_linears.{i}.{j}", weight=(widths[i], widths[i + j], 1, 1))
    return keys


def cb_resnet50():
    keys = {"cb_modules.0.conv1.weight": (64, 3, 7, 7)}
    for net in (0, 1):
        keys |= _batch_norm(f"cb_modules.{net}.bn1", 64)
        for stage, blocks in enumerate((3, 4, 6, 3)):
            if net == 1 and stage == 0:
                continue
            planes = 64 * 2**stage
            for block in range(blocks):
                at = f"cb_modules.{net}.layer{stage + 1}.{block}"
                width = _input_width(stage, block)
                keys[f"{at}.conv1.weight"] = (planes, width, 1, 1)
                keys[f"{at}.conv2.weight"] = (planes, planes, 3, 3)
                keys[f"{at}.conv3.weight"] = (4 * planes, planes, 1, 1)
                for norm, of in (("bn1", planes), ("bn2", planes), ("bn3", 4 * planes)):
                    keys |= _batch_norm(f"{at}.{norm}", of)
                if block == 0:
                    keys[f"{at}.downsample.0.weight"] = (4 * planes, width, 1, 1)
                    keys |= _batch_norm(f"{at}.downsample.1", 4 * planes)
    return keys | _cnn_composition()


def cb_res2net101():
    keys = {}
    for layer, norm, (out, into) in ((0, 1, (32, 3)), (3, 4, (32, 32)), (6, 7, (64, 32))):
        keys[f"cb_modules.0.stem.{layer}.weight"] = (out, into, 3, 3)
        keys |= _batch_norm(f"cb_modules.0.stem.{norm}", out)
    for net in (0, 1):
        for stage, blocks in enumerate((3, 4, 23, 3)):
            if net == 1 and stage == 0:
                continue
            planes, scale = 64 * 2**stage, 26 * 2**stage
            for block in range(blocks):
                at = f"cb_modules.{net}.layer{stage + 1}.{block}"
                width = _input_width(stage, block)
                keys[f"{at}.conv1.weight"] = (4 * scale, width, 1, 1)
                keys[f"{at}.conv3.weight"] = (4 * planes, 4 * scale, 1, 1)
                keys |= _batch_norm(f"{at}.bn1", 4 * scale) | _batch_norm(f"{at}.bn3", 4 * planes)
                for k in range(3):
                    keys[f"{at}.convs.{k}.weight"] = (scale, scale, 3, 3)
                    keys |= _batch_norm(f"{at}.bns.{k}", scale)
                    if stage > 0:
                        keys |= _both(conv=f"{at}.convs.{k}.conv_offset", weight=(27, scale, 3, 3))
                if block == 0:
                    keys[f"{at}.downsample.1.weight"] = (4 * planes, width, 1, 1)
                    keys |= _batch_norm(f"{at}.downsample.2", 4 * planes)
    return keys | _cnn_composition()


def neck_and_rpn(widths):
    keys = {}
    for level, width in enumerate(widths):
        keys |= _both(conv=f"neck.lateral_convs.{level}.conv", weight=(256, width, 1, 1))
        keys |= _both(conv=f"neck.fpn_convs.{level}.conv", weight=(256, 256, 3, 3))
    keys |= _both(conv="rpn_head.rpn_conv", weight=(256, 256, 3, 3))
    keys |= _both(conv="rpn_head.rpn_cls", weight=(3, 256, 1, 1))
    return keys | _both(conv="rpn_head.rpn_reg", weight=(12, 256, 1, 1))


def box_head(at, convolutions, regressed):
    """`convolutions` shared 3x3 with normalisation, then so many linear layers that there are two kinds."""
    keys = {}
    for k in range(convolutions):
        keys[f"{at}.shared_convs.{k}.conv.weight"] = (256, 256, 3, 3)
        keys |= _batch_norm(f"{at}.shared_convs.{k}.bn", 256)
    keys |= _both(conv=f"{at}.shared_fcs.0", weight=(1024, 12544))
    if not convolutions:
        keys |= _both(conv=f"{at}.shared_fcs.1", weight=(1024, 1024))
    keys |= _both(conv=f"{at}.fc_cls", weight=(81, 1024))
    return keys | _both(conv=f"{at}.fc_reg", weight=(regressed, 1024))


def mask_head(at, residual=False):
    keys = {}
    for k in range(4):
        keys |= _both(conv=f"{at}.convs.{k}.conv", weight=(256, 256, 3, 3))
    keys |= _both(conv=f"{at}.upsample", weight=(256, 256, 2, 2))
    keys |= _both(conv=f"{at}.conv_logits", weight=(80, 256, 1, 1))
    return keys | (_both(conv=f"{at}.conv_res.conv", weight=(256, 256, 1, 1)) if residual else {})


def semantic_head():
    at = "roi_head.semantic_head"
    keys = {}
    for level in range(5):
        keys |= _both(conv=f"{at}.lateral_convs.{level}.conv", weight=(256, 256, 1, 1))
    for k in range(4):
        keys |= _both(conv=f"{at}.convs.{k}.conv", weight=(256, 256, 3, 3))
    keys |= _both(conv=f"{at}.conv_embedding.conv", weight=(256, 256, 1, 1))
    return keys | _both(conv=f"{at}.conv_logits", weight=(183, 256, 1, 1))


def below(prefix, keys):
    return {f"{prefix}.{key}": shape for key, shape in keys.items()}


def _swin_block(at, width, heads):
    keys = _affine(f"{at}.norm1", width) | _affine(f"{at}.norm2", width)
    keys[f"{at}.attn.relative_position_bias_table"] = (TABLE_ROWS, heads)
    keys[f"{at}.{INDEX}"] = (WINDOW**2, WINDOW**2)
    keys |= _both(conv=f"{at}.attn.qkv", weight=(3 * width, width))
    keys |= _both(conv=f"{at}.attn.proj", weight=(width, width))
    keys |= _both(conv=f"{at}.mlp.fc1", weight=(4 * width, width))
    return keys | _both(conv=f"{at}.mlp.fc2", weight=(width, 4 * width))


def _cnn_composition():
    widths = (64, 256, 512, 1024, 2048)
    keys = {}
    for i, reach in ((1, 3), (2, 2), (3, 1)):
        for j in range(reach):
            keys[f"cb_linears.{i}.{j}.0.weight"] = (widths[i], widths[i + j + 1], 1, 1)
            keys |= _batch_norm(f"cb_linears.{i}.{j}.1", widths[i])
    return keys


def _input_width(stage, block):
    if block:
        return 256 * 2**stage
    return 64 if stage == 0 else 128 * 2**stage


def _both(conv, weight):
    out = weight[1] if "upsample" in conv else weight[0]
    return {f"{conv}.weight": weight, f"{conv}.bias": (out,)}


def _affine(at, width):
    return {f"{at}.weight": (width,), f"{at}.bias": (width,)}


def _batch_norm(at, width):
    tracked = {f"{at}.running_mean": (width,), f"{at}.running_var": (width,), f"{at}.num_batches_tracked": ()}
    return _affine(at, width) | tracked
