"""Small models of several families, and files that no library would write."""

from __future__ import annotations

import json


def write_safetensors_by_hand(path, header, body=b""):
    """Write any header, also one that no library would write."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def build(folder, class_name, config_name, **settings):
    """Save a randomly initialised model of a transformers class, as its users would."""
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = getattr(transformers, config_name)(**settings)
    getattr(transformers, class_name)(config).eval().save_pretrained(folder)
    return folder


_BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 40,
    "max_position_embeddings": 16,
}
FAMILIES = {
    "bert": ("BertForMaskedLM", "BertConfig", _BERT),  # decoder tied to embeddings
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {
            "n_layer": 2,
            "n_embd": 16,
            "n_head": 2,
            "vocab_size": 40,
            "n_positions": 16,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
    ),
    "t5": (  # three names tied to one tensor
        "T5ForConditionalGeneration",
        "T5Config",
        {"d_model": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 8, "vocab_size": 40},
    ),
    "vit": (  # stored under other names than the class has
        "ViTForImageClassification",
        "ViTConfig",
        {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "image_size": 8,
            "patch_size": 4,
        },
    ),
    "mixtral": (  # stored tensors are merged when loaded
        "MixtralForCausalLM",
        "MixtralConfig",
        {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
            "vocab_size": 40,
            "num_local_experts": 2,
        },
    ),
}
