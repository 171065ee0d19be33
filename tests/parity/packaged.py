"""Networks of the literature from packages that do not have them ready to be called; for `known.py`."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision.models as tv
import transformers
from timm.layers.cbam import CbamModule
from timm.layers.eca import EcaModule
from torch import Tensor, nn


def albert() -> nn.Module:
    config = transformers.AlbertConfig(
        hidden_size=768, num_attention_heads=12, intermediate_size=3072, embedding_size=128
    )
    return transformers.AlbertModel(config)


def albert_inputs() -> tuple[Tensor, ...]:
    return torch.randint(30000, (2, 512)), torch.randint(2, (2, 512))


def albert_call(model: nn.Module) -> Callable[..., object]:
    return lambda ids, types: model(input_ids=ids, token_type_ids=types)


def llama(visits: int) -> nn.Module:
    """MobileLLM-125M (Liu et al. 2024, table 9): Llama's layers of the sizes in the paper. In the variant LS each layer is
    called twice in a row."""
    config = transformers.LlamaConfig(
        vocab_size=32000, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, rms_norm_eps=1e-5, tie_word_embeddings=True, max_position_embeddings=512, use_cache=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    model.model.layers = nn.ModuleList([it for it in model.model.layers for _ in range(visits)])
    config.num_hidden_layers *= visits
    return plain(model)


def plain(model: nn.Module) -> nn.Module:
    """Llama with norms and angles in the precision of the model, where transformers has single precision always."""
    for norm in [it for it in model.modules() if type(it).__name__ == "LlamaRMSNorm"]:
        norm.forward = lambda x, norm=norm: F.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)
    features = model.config.hidden_size // model.config.num_attention_heads
    model.model.rotary_emb.forward = lambda x, position_ids: angles(x, position_ids, features)
    return model


def angles(x: Tensor, position_ids: Tensor, features: int = 64, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al. 2021), for pairs of features by halves."""
    frequencies = base ** (-torch.arange(0, features, 2, dtype=torch.float64) / features)
    angles = (position_ids[..., None] * frequencies).repeat(1, 1, 2)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def retinanet() -> nn.Module:
    return tv.detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None)


def retinanet_call(model: nn.Module) -> Callable[..., object]:
    """The maps of both heads, level by level, which torchvision joins before it decodes them. Without weights the body
    has ordinary batch norms."""

    def maps(images: Tensor) -> list[Tensor]:
        levels = list(model.backbone(images).values())
        classes, boxes = model.head.classification_head, model.head.regression_head
        outputs = [classes.cls_logits(classes.conv(level)) for level in levels]
        return outputs + [boxes.bbox_reg(boxes.conv(level)) for level in levels]

    return maps


def gates() -> nn.Module:
    """Convolutions with gates from timm: Wang et al. 2020, Woo et al. 2018."""
    first, second = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, 2, 1)
    return nn.Sequential(first, nn.ReLU(), EcaModule(kernel_size=5), second, nn.ReLU(), CbamModule(32))
