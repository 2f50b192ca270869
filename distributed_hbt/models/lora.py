"""Low-rank adapters (Hu et al., arXiv 2106.09685), through peft."""

from typing import Any

from torch import Tensor, nn

from distributed_hbt.config.model import LoraConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.models.layers import layer_stack

_ADAPTER = "default"
_BASE_LAYER = ".base_layer."


def add_lora(backbone: Any, lora: LoraConfig) -> None:
    """Put adapters into `backbone` in place; only they require a gradient afterwards.

    The adapters' weights are drawn from torch's global generator; at first they change nothing (B is 0).

    Raises:
        ConfigError: target modules or layers that the backbone does not have.
    """
    import peft

    targets = _targets(backbone, lora.target_modules)
    stack, layers = _layers(backbone, lora)
    configuration = peft.LoraConfig(
        task_type=peft.TaskType.FEATURE_EXTRACTION,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=layers,
        layers_pattern=stack,
    )
    inject(backbone, configuration)


def inject(backbone: Any, configuration: Any) -> None:
    """Put the adapters of a peft configuration into `backbone` in place."""
    import peft

    # Not get_peft_model: its wrapper would stand between the encoder and the backbone, for nothing.
    peft.inject_adapter_in_model(configuration, backbone, adapter_name=_ADAPTER)


def lora_configuration(backbone: Any) -> Any | None:
    """The peft configuration of the adapters in `backbone`; None where it has none."""
    return getattr(backbone, "peft_config", {}).get(_ADAPTER)


def merge(backbone: Any) -> None:
    """Add the adapters to the weights below them, and take them out, in place."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(backbone.named_modules()):
        if isinstance(module, LoraLayer):
            layer: Any = module
            layer.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, layer.get_base_layer())
    del backbone.peft_config


def is_adapter_weight(name: str) -> bool:
    """Whether a name of a state dict is an adapter's."""
    return ".lora_" in name


def adapter_file_name(name: str) -> str:
    """A weight's name in adapter_model.safetensors, as peft writes it, from its name in the backbone."""
    return "base_model.model." + name.replace(f".{_ADAPTER}.", ".")


def base_weights(backbone_state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without the adapters, by the names they have in a backbone without adapters."""
    return {
        name.replace(_BASE_LAYER, "."): tensor
        for name, tensor in backbone_state.items()
        if not is_adapter_weight(name)
    }


def _targets(backbone: Any, wanted: str | tuple[str, ...]) -> list[str]:
    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    there = sorted({name.rpartition(".")[2] for name in linear})
    if wanted == "all-linear":
        return there
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for target in names:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            what = f"no linear module is named {target}"
            raise ConfigError("model.lora.target_modules", what, f"choose among {', '.join(there)}")
    return names


def _layers(backbone: Any, lora: LoraConfig) -> tuple[str | None, list[int] | None]:
    """The name of the list of layers and the layers' numbers; None where all get adapters."""
    if lora.layers is None:
        return None, None
    count = backbone.config.num_hidden_layers
    first, stop = lora.layers
    if stop > count:
        what = f"[{first}, {stop}] goes beyond the model's {count} layers"
        raise ConfigError("model.lora.layers", what, f"let it end at {count} or before")
    found = layer_stack(backbone)
    if found is None:
        what = f"a {backbone.config.model_type} has no list of layers"
        raise ConfigError("model.lora.layers", what, "set it to null")
    name, _ = found
    return name.rpartition(".")[2], list(range(first, stop))
