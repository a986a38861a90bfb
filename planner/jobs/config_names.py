"""What Hugging Face configurations call things, and what the family of a model says that its configuration leaves out.

The names and what holds where nothing is stated are those of the configuration classes of Hugging Face Transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What each figure is called, the most common name first.
NAMES = {
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "n_embed", "dim"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "vocab": ("vocab_size", "padded_vocab_size"),
}
OPTIONAL = {
    "num_kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads"),
    "ffn": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_inner", "hidden_dim", "dim_feedforward"),
    "max_positions": ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length"),
    "head_width": ("head_dim", "d_head", "kv_channels"),
}
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
PICKED = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_top_k", "moe_topk", "moe_k")
EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size", "expert_dim")
SHARED = ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts")
# Experts in every so manyth layer alone, and in none of the first so many.
EVERY = ("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_freq", "moe_layer_interval")
FIRST_DENSE = ("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers")
# Largest values, as in the fields of a form: beyond them a slip of the pen is likelier than a network.
LARGEST = {
    "num_layers": 10_000,
    "encoder_layers": 10_000,
    "hidden": 1_000_000,
    "num_heads": 10_000,
    "num_kv_heads": 10_000,
    "head_width": 10_000,
    "ffn": 10_000_000,
    "vocab": 100_000_000,
    "max_positions": 1_000_000_000,
    "num_experts": 10_000,
}
# Families whose feed-forward networks have no gate, and those that have one whatever their activation is called.
UNGATED = (
    *("gpt2", "gpt_neo", "gpt_neox", "gptj", "gpt_bigcode", "opt", "bloom", "falcon", "mpt", "phi", "starcoder2"),
    *("codegen", "xglm", "nemotron", "persimmon"),
)
GATED = ("gemma", "gemma2", "gemma3", "gemma3_text", "modernbert", "nomic_bert", "glm", "glm4", "chatglm", "gpt_oss")
ACTIVATIONS = ("hidden_act", "activation_function", "hidden_activation", "activation")
GATING = ("silu", "swish", "swiglu", "geglu", "reglu")
ENCODERS = (
    *("bert", "roberta", "distilbert", "electra", "deberta", "deberta-v2", "albert", "xlm-roberta", "modernbert"),
    *("camembert", "mpnet", "nomic_bert", "megatron-bert", "roformer", "esm", "ernie", "eurobert", "vit", "deit"),
)
# Decoders that share embedding and output head unless told otherwise; the others do not.
TIED = (
    *("gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "falcon", "mpt", "xglm", "starcoder2"),
    *("gemma", "gemma2", "gemma3", "gemma3_text", "cohere", "cohere2"),
)
# Encoder–decoders. Their halves may differ; T5's positions are relative, and without a limit.
T5_FAMILY = ("t5", "mt5", "umt5", "longt5", "switch_transformers")
PAIRS = (*T5_FAMILY, "bart", "mbart", "marian", "pegasus", "blenderbot", "m2m_100", "fsmt", "prophetnet")
OF_HALVES = {
    "num_layers": ("num_decoder_layers", "decoder_layers"),
    "encoder_layers": ("num_layers", "encoder_layers"),
    "num_heads": ("decoder_attention_heads", "encoder_attention_heads", "num_heads"),
    "ffn": ("decoder_ffn_dim", "encoder_ffn_dim", "d_ff"),
}
# Figures that the family's published configurations leave out because they are its defaults.
USUAL: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "sliding_window_pattern": 6,
        "max_position_embeddings": 131_072,
    },
    "gemma2": {"sliding_window_pattern": 2},
}
# The parts of a model for several kinds of input that read and write text.
TEXT_PARTS = ("text_config", "llm_config", "language_config")
OTHER_PARTS = ("vision_config", "audio_config", "speech_config", "vision_tower", "mm_vision_tower")
# Families with layers that carry a state from token to token, and what marks such layers in a configuration.
STATEFUL = (
    *("mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv5", "rwkv6", "rwkv7", "recurrent_gemma", "jamba", "zamba"),
    *("zamba2", "bamba", "nemotron_h", "granitemoehybrid", "xlstm", "qwen3_next", "kimi_linear", "lfm2", "falcon_h1"),
)
STATES = ("mamba", "linear_attention", "recurrent", "conv", "ssm", "hybrid")
STATE_KEYS = ("ssm_cfg", "mamba_d_state", "state_size", "ssm_state_size", "linear_attn_config")
# Networks for pictures by what their configurations state: width (and blocks per stage), or blocks, width and patch.
SWINS: Mapping[tuple[int, tuple[int, ...]], str] = {
    (96, (2, 2, 6, 2)): "swin-t",
    (128, (2, 2, 18, 2)): "swin-b",
    (192, (2, 2, 18, 2)): "swin-l",
}
VITS = {(12, 768, 16): "vit-b-16", (24, 1024, 16): "vit-l-16", (32, 1280, 14): "vit-h-14"}
RESNETS: Mapping[tuple[int, ...], str] = {
    (2, 2, 2, 2): "resnet-18",
    (3, 4, 6, 3): "resnet-50",
    (3, 4, 23, 3): "resnet-101",
    (3, 8, 36, 3): "resnet-152",
}
