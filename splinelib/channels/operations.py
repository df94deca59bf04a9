"""The rule for each operation of torch."""

import functools
from collections.abc import Callable

import torch

from . import layer_rules, rules
from .calls import Call
from .layer_rules import product

_TABLES: list[tuple[Callable[[Call], None], str]] = [
    (rules.same, "clone detach alias contiguous _to_copy lift_fresh lift lift_fresh_copy fill"),
    (rules.same, "zero native_dropout empty_like zeros_like ones_like full_like rand_like"),
    (rules.same, "randn_like bernoulli uniform normal random exponential tril triu"),
    (rules.together, "hardswish prelu _prelu_kernel rrelu_with_noise log_sigmoid_forward rsub"),
    (rules.together, "where masked_fill"),
    (rules.nothing, "new_empty new_zeros new_ones new_full new_empty_strided _shape_as_tensor"),
    (rules.nothing, "empty zeros ones full arange is_same_size"),
    (rules.move, "permute transpose t unsqueeze squeeze expand flip movedim repeat unfold"),
    (rules.pad, "constant_pad_nd"),
    (rules.move, "reflection_pad1d reflection_pad2d reflection_pad3d"),
    (rules.move, "replication_pad1d replication_pad2d replication_pad3d pixel_unshuffle numpy_T"),
    (rules.view, "view _unsafe_view reshape _reshape_alias unflatten flatten"),
    (rules.strided, "as_strided"),
    (rules.split, "split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unbind"),
    (rules.part, "slice select narrow"),
    (rules.glu, "glu"),
    (rules.roll, "roll"),
    (rules.pixel_shuffle, "pixel_shuffle"),
    (rules.channel_shuffle, "channel_shuffle native_channel_shuffle"),
    (rules.im2col, "im2col"),
    (rules.copy, "copy"),
    (rules.concatenate, "cat stack"),
    (rules.index, "index index_select"),
    (rules.reduce, "sum mean amax amin aminmax max min argmax argmin var std var_mean std_mean"),
    (rules.reduce, "logsumexp norm linalg_vector_norm prod any all median nanmedian mode cumsum"),
    (rules.reduce, "cumprod cummax cummin logcumsumexp _softmax _log_softmax sort argsort topk"),
    (rules.reduce, "kthvalue nansum count_nonzero _safe_softmax"),
    (rules.channelwise, "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d"),
    (rules.channelwise, "max_pool3d_with_indices avg_pool2d avg_pool3d adaptive_avg_pool1d"),
    (rules.channelwise, "adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d"),
    (rules.channelwise, "_adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d"),
    (rules.channelwise, "adaptive_max_pool3d upsample_nearest1d upsample_nearest2d"),
    (rules.channelwise, "upsample_nearest3d upsample_linear1d upsample_bilinear2d"),
    (rules.channelwise, "upsample_trilinear3d upsample_bicubic2d _upsample_nearest_exact1d"),
    (rules.channelwise, "_upsample_nearest_exact2d _upsample_bilinear2d_aa"),
    (rules.channelwise, "grid_sampler_2d grid_sampler_3d roi_align roi_pool"),
    (product("self", "mat2"), "mm bmm"),
    (product("self", "vec"), "mv"),
    (product("self", "tensor"), "dot"),
    (product("mat1", "mat2", "self"), "addmm"),
    (product("mat", "vec", "self"), "addmv"),
    (product("batch1", "batch2", "self"), "baddbmm"),
    (product("input", "weight", "bias", turned=True), "linear"),
    (layer_rules.convolution, "convolution"),
    (layer_rules.batch_norm, "native_batch_norm _native_batch_norm_legit cudnn_batch_norm"),
    (layer_rules.batch_norm, "_native_batch_norm_legit_no_training miopen_batch_norm"),
    (layer_rules.batch_norm, "_batch_norm_no_update _batch_norm_with_update"),
    (layer_rules.layer_norm, "native_layer_norm"),
    (layer_rules.group_norm, "native_group_norm"),
    (layer_rules.embedding, "embedding"),
    (layer_rules.attention, "_scaled_dot_product_flash_attention_for_cpu"),
    (layer_rules.attention, "_scaled_dot_product_flash_attention"),
    (layer_rules.attention, "_scaled_dot_product_efficient_attention"),
    (layer_rules.attention, "_scaled_dot_product_cudnn_attention"),
    (layer_rules.whole_attention, "_native_multi_head_attention"),
    (layer_rules.bilinear, "_trilinear"),
]
_RULES = {name: rule for rule, names in _TABLES for name in names.split()}


@functools.cache
def name_of(func) -> str:
    """Name of an operation of ATen, the same for its in-place form."""
    packet = func.overloadpacket.__name__
    return packet.removesuffix("_")


@functools.cache
def rule_of(func) -> Callable[[Call], None]:
    """The rule for an operation; what stands in no table fixes all that it is given."""
    if func.namespace in {"aten", "torchvision"}:
        if (rule := _RULES.get(name_of(func))) is not None:
            return rule
        if torch.Tag.pointwise in func.tags:
            return rules.together
    return rules.unknown
