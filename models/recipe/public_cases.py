# SPDX-License-Identifier: Apache-2.0
"""Tiny models of the public families, each as its makers spell config.json.

A case is a configuration in the published spelling, with odd sizes, and with what the class of
transformers must be told otherwise (`build`). Sizes fill no vector, heads are not D/H wide where
the family allows it, every multiplier is away from 1, and some case of each family has every
bias. Epsilons are large, so that one read under a wrong name shows.
"""
import copy

INFINITY = float("inf")


class Case:
    """One golden folder.

    classes    the configuration's and the model's class in transformers
    hub        config.json as published (model_type and architectures are added)
    build      changes of hub for the class alone, which reads some keys less widely
    n_ids      length of the prompt
    one_plus   norms whose names contain one of these multiply by 1 + w
    names      rules (pattern, replacement) from written to published tensor names; first wins
    conv_rows  olmo_hybrid: rows of q, k and v convolutions as published
    surplus    tensors of the published folder that are left out
    shard      bytes of a weights file, 0 for one file
    """

    def __init__(self, classes, hub, **more):
        self.classes, self.hub = classes, hub
        self.build = more.pop("build", {})
        self.n_ids = more.pop("n_ids", 150)
        self.one_plus = more.pop("one_plus", ())
        self.not_one_plus = more.pop("not_one_plus", ())
        self.names = more.pop("names", ())
        self.conv_rows = more.pop("conv_rows", None)
        self.surplus = more.pop("surplus", {})
        self.shard = more.pop("shard", 0)
        self.served = more.pop("served", 256)
        if more:
            raise TypeError(f"unknown: {sorted(more)}")

    @property
    def vocab(self):
        return self.hub.get("text_config", self.hub)["vocab_size"]

    @property
    def tied(self):
        return any(self.hub.get(key) for key in ("tie_word_embeddings", "tie_embedding"))

    def class_arguments(self):
        """What the configuration's class is called with."""
        hub = copy.deepcopy({**self.hub, **self.build})
        return {key: value for key, value in hub.items()
                if value != REMOVED and key not in ("model_type", "architectures")}


REMOVED = "removed"


def text_model(model_type, stem, **keys):
    """Keys that every published file has, then the family's."""
    return ((f"{stem}Config", f"{stem}ForCausalLM"),
            {"architectures": [f"{stem}ForCausalLM"], "model_type": model_type,
             "vocab_size": 70, "max_position_embeddings": 256, "initializer_range": 0.02,
             "use_cache": True, "torch_dtype": "float32", "transformers_version": "4.57.1",
             "bos_token_id": 1, "eos_token_id": 2, **keys})


def case(model_type, stem, keys, **more):
    return Case(*text_model(model_type, stem, **keys), **more)


# Qwen3.5: gated DeltaNet and gated attention.
QWEN_NORMS = {"one_plus": ("norm",), "not_one_plus": ("linear_attn.norm", "model.visual")}
QWEN_NAMES = ((r"^model\.language_model\.", "model."), (r"^model\.", "model.language_model."))
QWEN = {"hidden_size": 38, "intermediate_size": 54, "num_attention_heads": 3,
        "num_key_value_heads": 1, "head_dim": 12, "hidden_act": "silu", "rms_norm_eps": 0.01,
        "attention_dropout": 0.0, "attn_output_gate": True, "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 6, "linear_value_head_dim": 10, "linear_num_key_heads": 2,
        "linear_num_value_heads": 6, "mamba_ssm_dtype": "float32", "mtp_num_hidden_layers": 1,
        "mtp_use_dedicated_embeddings": False}
QWEN_ROPE = {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5,
             "mrope_interleaved": True, "mrope_section": [1, 1, 1]}
QWEN_LAYERS = ["linear_attention", "linear_attention", "full_attention", "linear_attention"]
MTP = {"mtp.fc.weight": [38, 76], "mtp.norm.weight": [38]}
VISION = {"model_type": "qwen3_5", "depth": 1, "hidden_size": 16, "hidden_act":
          "gelu_pytorch_tanh", "intermediate_size": 20, "num_heads": 2, "in_channels": 3,
          "patch_size": 2, "spatial_merge_size": 2, "temporal_patch_size": 2,
          "out_hidden_size": 38, "num_position_embeddings": 16, "initializer_range": 0.02,
          "deepstack_visual_indexes": []}

# OLMo Hybrid: gated DeltaNet, whole-projection norms, norms after the attention block.
OLMO_NAMES = ((r"^(model\.layers\.(?:2|3)\.)feedforward_layer_norm\.",
               r"\1post_attention_layernorm."),)
OLMO_OLD_NAMES = ((r"\.attention_layer_norm\.", ".input_layernorm."),
                  (r"\.feedforward_layer_norm\.", ".post_attention_layernorm."))
OLMO = {"hidden_size": 36, "intermediate_size": 50, "num_attention_heads": 3,
        "num_hidden_layers": 4, "num_key_value_heads": 3, "hidden_act": "silu",
        "rms_norm_eps": 0.02,
        "attention_dropout": 0.0, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "linear_key_head_dim": 6, "linear_value_head_dim": 9, "linear_conv_kernel_dim": 4,
        "linear_a_log_min": 0.0, "linear_a_log_max": 16.0, "linear_dt_min": 0.001,
        "linear_dt_max": 0.1, "linear_dt_init_floor": 0.0001, "tie_word_embeddings": False,
        "pad_token_id": 0}

# Mamba-2 in the words of Granite, Bamba and Falcon-H1.
MAMBA = {"mamba_chunk_size": 32, "mamba_conv_bias": True, "mamba_d_conv": 4, "mamba_d_head": 12,
         "mamba_d_state": 10, "mamba_expand": 2, "mamba_n_groups": 2, "mamba_n_heads": 6,
         "mamba_proj_bias": True}
GRANITE = {"hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 1,
           "hidden_act": "silu", "attention_bias": True, "attention_dropout": 0.0,
           "attention_multiplier": 0.4, "embedding_multiplier": 3.0, "residual_multiplier": 0.6,
           "logits_scaling": 2.5, "rms_norm_eps": 0.01, "rope_scaling": None,
           "rope_theta": 3000.0, "tie_word_embeddings": False, "pad_token_id": 0}
GRANITE_H = {**GRANITE, **MAMBA, "intermediate_size": 44, "shared_intermediate_size": 44,
             "num_local_experts": 0, "num_experts_per_tok": 0, "init_method": "mup",
             "normalization_function": "rmsnorm", "output_router_logits": False,
             "router_aux_loss_coef": 0.01, "num_hidden_layers": 4,
             "layer_types": ["mamba", "attention", "mamba", "mamba"]}
FALCON = {**MAMBA, "hidden_size": 36, "intermediate_size": 46, "num_attention_heads": 4,
          "num_key_value_heads": 2, "num_hidden_layers": 2, "head_dim": 10, "hidden_act": "silu",
          "mamba_d_ssm": 60, "mamba_d_head": 10, "mamba_n_heads": 6,
          "attention_bias": True, "mlp_bias": True, "projectors_bias": True,
          "attention_dropout": 0.0, "attn_layer_indices": None, "num_logits_to_keep": 1,
          "rms_norm_eps": 0.01, "rope_scaling": None, "rope_theta": 20000.0,
          "embedding_multiplier": 2.4, "lm_head_multiplier": 0.3, "key_multiplier": 0.6,
          "attention_in_multiplier": 0.8, "attention_out_multiplier": 1.3,
          "ssm_in_multiplier": 1.25, "ssm_out_multiplier": 0.7, "mlp_multipliers": [0.9, 0.6],
          "ssm_multipliers": [0.8, 1.2, 0.7, 1.4, 0.9], "mamba_use_mlp": True,
          "mamba_norm_before_gate": True, "mamba_rms_norm": False, "pad_token_id": 0,
          "tie_word_embeddings": False, "time_step_floor": 0.0001}
BAMBA = {**MAMBA, "hidden_size": 36, "intermediate_size": 46, "num_attention_heads": 3,
         "num_key_value_heads": 1, "num_hidden_layers": 3, "hidden_act": "silu",
         "attn_layer_indices": [1], "attention_dropout": 0.0, "num_logits_to_keep": 1,
         "rms_norm_eps": 0.01, "rope_theta": 3000.0, "z_loss_coefficient": 0.0,
         "time_step_min": 0.001, "time_step_max": 0.1, "time_step_limit": [0.05, 0.6],
         "tie_word_embeddings": False, "pad_token_id": 0}
MAMBA2 = {"hidden_size": 30, "num_heads": 6, "head_dim": 10, "state_size": 12, "expand": 2,
          "n_groups": 3, "conv_kernel": 4, "chunk_size": 32, "num_hidden_layers": 3,
          "layer_norm_epsilon": 0.01, "hidden_act": "silu", "use_bias": True,
          "use_conv_bias": True, "residual_in_fp32": True, "rms_norm": True,
          "rescale_prenorm_residual": False, "time_step_rank": 2, "time_step_min": 0.001,
          "time_step_max": 0.1, "time_step_floor": 0.0001, "time_step_limit": [0.05, 0.7],
          "tie_word_embeddings": False, "pad_token_id": 0}
NEMOTRON_NAMES = ((r"^backbone\.", "model."),)
NEMOTRON_OLD_NAMES = ((r"^backbone\.embeddings\.", "backbone.embedding."),)
NEMOTRON = {"hidden_size": 36, "intermediate_size": 50, "num_attention_heads": 3,
            "num_key_value_heads": 1, "attention_head_dim": 10, "head_dim": REMOVED,
            "num_hidden_layers": 5, "hybrid_override_pattern": "M-M*-",
            "mamba_num_heads": 6, "mamba_head_dim": 8, "ssm_state_size": 10, "n_groups": 3,
            "conv_kernel": 4, "chunk_size": 32, "expand": 2, "use_bias": True,
            "use_conv_bias": True, "mlp_bias": True, "mlp_hidden_act": "relu2",
            "mamba_hidden_act": "silu", "attention_bias": False, "mamba_proj_bias": False,
            "attention_dropout": 0.0, "hidden_dropout": 0.0, "layer_norm_epsilon": 0.01,
            "rms_norm_eps": 1e-05, "residual_in_fp32": False, "rescale_prenorm_residual": True,
            "num_logits_to_keep": 1, "sliding_window": None, "use_mamba_kernels": True,
            "time_step_min": 0.001, "time_step_max": 0.1, "time_step_floor": 0.0001,
            "time_step_limit": [0.0, INFINITY], "tie_word_embeddings": False,
            "pad_token_id": 0}
NEMOTRON_BUILD = {"head_dim": 10, "attention_head_dim": REMOVED}

# LFM2: gated short convolutions and attention.
LFM2 = {"hidden_size": 36, "block_dim": 36, "num_attention_heads": 3, "num_heads": 3,
        "num_key_value_heads": 1, "num_hidden_layers": 4, "norm_eps": 0.01,
        "block_norm_eps": 0.01, "rope_theta": 50000.0, "conv_dim": 36, "conv_dim_out": 36,
        "conv_use_xavier_init": True, "block_mlp_init_scale": 1.0, "block_out_init_scale": 1.0,
        "block_use_swiglu": True, "block_use_xavier_init": True, "use_pos_enc": True,
        "pad_token_id": 0}

# Attention alone.
DENSE = {"hidden_size": 36, "intermediate_size": 50, "num_attention_heads": 4,
         "num_key_value_heads": 2, "num_hidden_layers": 4, "hidden_act": "silu",
         "attention_dropout": 0.0, "rms_norm_eps": 0.01, "tie_word_embeddings": False}
SIX_HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2}
GEMMA = {"hidden_size": 36, "intermediate_size": 42, "num_attention_heads": 4,
         "num_key_value_heads": 2, "num_hidden_layers": 5, "head_dim": 10,
         "hidden_activation": "gelu_pytorch_tanh", "attention_dropout": 0.0,
         "rms_norm_eps": 0.01, "sliding_window": 32, "query_pre_attn_scalar": 20,
         "rope_theta": 100000.0, "rope_local_base_freq": 4000.0, "sliding_window_pattern": 3,
         "attn_logit_softcapping": None, "final_logit_softcapping": None,
         "cache_implementation": "hybrid", "pad_token_id": 0}
ALL_NORMS = {"one_plus": ("norm",)}

CASES = {
    "qwen3_5_text-odd": case("qwen3_5_text", "Qwen3_5Text", {
        **QWEN, "num_hidden_layers": 4, "layer_types": QWEN_LAYERS, "attention_bias": True,
        "rope_parameters": QWEN_ROPE, "tie_word_embeddings": False},
        names=QWEN_NAMES, surplus=MTP, **QWEN_NORMS),
    "qwen3_5_text-tied": case("qwen3_5_text", "Qwen3_5Text", {
        **QWEN, "num_hidden_layers": 4, "full_attention_interval": 2, "head_dim": 16,
        "attention_bias": False, "linear_num_key_heads": 3, "linear_num_value_heads": 3,
        "linear_conv_kernel_dim": 3, "rope_theta": 8000.0, "partial_rotary_factor": 0.25,
        "rope_scaling": None, "tie_word_embeddings": True, "rms_norm_eps": 1e-6},
        names=QWEN_NAMES, n_ids=170, **QWEN_NORMS),
    "qwen3_5-vision": Case(("Qwen3_5Config", "Qwen3_5ForConditionalGeneration"), {
        "architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5",
        "image_token_id": 66, "video_token_id": 67, "vision_start_token_id": 68,
        "vision_end_token_id": 69, "tie_word_embeddings": True,
        "transformers_version": "4.57.0.dev0",
        "text_config": {
            **QWEN, "model_type": "qwen3_5_text", "vocab_size": 70, "num_hidden_layers": 4,
            "max_position_embeddings": 256, "layer_types": QWEN_LAYERS,
            "full_attention_interval": 4, "attention_bias": False, "dtype": "float32",
            "eos_token_id": 2, "mlp_only_layers": [], "use_cache": True,
            "initializer_range": 0.02, "rope_parameters": QWEN_ROPE,
            "tie_word_embeddings": True},
        "vision_config": VISION}, surplus=MTP, **QWEN_NORMS),
    "olmo_hybrid-rope": case("olmo_hybrid", "OlmoHybrid", {
        **OLMO, "layer_types": ["linear_attention", "linear_attention", "full_attention",
                                "full_attention"],
        "attention_bias": True, "linear_allow_neg_eigval": True, "rope_theta": 4000.0,
        "rope_scaling": None}, names=OLMO_NAMES, conv_rows=[12, 12, 36]),
    "olmo_hybrid-nope": case("olmo_hybrid", "OlmoHybrid", {
        **OLMO, "attention_bias": False, "linear_allow_neg_eigval": False,
        "linear_conv_kernel_dim": 3, "rope_parameters": {"rope_theta": None,
                                                         "rope_type": "default"}},
        names=OLMO_OLD_NAMES, conv_rows=[12, 12, 36]),
    "nemotron_h-bias": case("nemotron_h", "NemotronH", NEMOTRON, build=NEMOTRON_BUILD,
                            names=NEMOTRON_NAMES),
    "nemotron_h-limit": case("nemotron_h", "NemotronH", {
        **NEMOTRON, "use_bias": False, "mlp_bias": False, "use_conv_bias": False,
        "hybrid_override_pattern": "MM*-M", "num_hidden_layers": 5, "n_groups": 2,
        "time_step_min": 0.2, "time_step_limit": [0.2, INFINITY]}, build=NEMOTRON_BUILD,
        names=NEMOTRON_OLD_NAMES),
    "lfm2-adjusted": case("lfm2", "Lfm2", {
        **LFM2, "block_auto_adjust_ff_dim": True, "block_ff_dim": 66,
        "block_ffn_dim_multiplier": 1.3, "block_multiple_of": 12, "conv_L_cache": 3,
        "conv_bias": True, "full_attn_idxs": [1, 3], "tie_embedding": True}),
    "lfm2-plain": case("lfm2", "Lfm2", {
        **LFM2, "block_auto_adjust_ff_dim": False, "block_ff_dim": 46,
        "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256, "conv_L_cache": 4,
        "conv_bias": False, "layer_types": ["conv", "conv", "full_attention", "conv"],
        "tie_embedding": False}),
    "granitemoehybrid-nope": case("granitemoehybrid", "GraniteMoeHybrid", {
        **GRANITE_H, "position_embedding_type": "nope"}),
    "granitemoehybrid-rope": case("granitemoehybrid", "GraniteMoeHybrid", {
        **GRANITE_H, "position_embedding_type": "rope", "attention_bias": False,
        "mamba_proj_bias": False, "mamba_conv_bias": False, "mamba_d_head": "auto",
        "mamba_n_groups": 1, "tie_word_embeddings": True}),
    "granitemoehybrid-attention": case("granitemoehybrid", "GraniteMoeHybrid", {
        **GRANITE_H, "num_hidden_layers": 3, "layer_types": ["attention"] * 3,
        "position_embedding_type": "rope"}),
    "granite-bias": case("granite", "Granite", {
        **GRANITE, "num_hidden_layers": 4, "intermediate_size": 50, "mlp_bias": True},
        n_ids=170),
    "falcon_h1-plain": case("falcon_h1", "FalconH1", {
        **FALCON, "time_step_min": 0.001, "time_step_max": 0.1,
        "time_step_limit": [0.05, 0.6]}),
    "falcon_h1-before": case("falcon_h1", "FalconH1", {
        **FALCON, "mamba_rms_norm": True, "mamba_norm_before_gate": True,
        "mamba_proj_bias": False, "attention_bias": False, "mlp_bias": False, "head_dim": 8}),
    "falcon_h1-after": case("falcon_h1", "FalconH1", {
        **FALCON, "mamba_rms_norm": True, "mamba_norm_before_gate": False,
        "projectors_bias": False, "mamba_conv_bias": False, "mamba_d_ssm": None,
        "mamba_d_head": "auto", "tie_word_embeddings": True}),
    "bamba-limit": case("bamba", "Bamba", BAMBA),
    "mamba2-groups": case("mamba2", "Mamba2", MAMBA2),
    "mamba2-tied": case("mamba2", "Mamba2", {
        **MAMBA2, "use_bias": False, "use_conv_bias": False, "n_groups": 1, "conv_kernel": 3,
        "tie_word_embeddings": True, "time_step_limit": [0.0, INFINITY]}),
    "llama-public": case("llama", "Llama", {
        **DENSE, "head_dim": 10, "attention_bias": True, "mlp_bias": True, "pretraining_tp": 1,
        "rope_theta": 5000.0, "rope_scaling": {
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64, "rope_type": "llama3"}}, shard=60000),
    "qwen2-window": case("qwen2", "Qwen2", {
        **DENSE, **SIX_HEADS, "use_sliding_window": True, "sliding_window": 24,
        "max_window_layers": 2,
        "rope_theta": 5000.0, "use_mrope": False}, n_ids=170),
    "qwen3-window": case("qwen3", "Qwen3", {
        **DENSE, "head_dim": 10, "attention_bias": True, "use_sliding_window": True,
        "sliding_window": 20, "max_window_layers": 1, "rope_scaling": None,
        "rope_theta": 5000.0}, n_ids=170),
    "qwen3-tied": case("qwen3", "Qwen3", {
        **DENSE, "num_hidden_layers": 3, "head_dim": 12, "attention_bias": False,
        "use_sliding_window": False, "sliding_window": None, "max_window_layers": 3,
        "rope_theta": 5000.0, "tie_word_embeddings": True}),
    "mistral-window": case("mistral", "Mistral", {
        **DENSE, "head_dim": 10, "sliding_window": 24, "rope_theta": 5000.0}, n_ids=170),
    "smollm3-window": case("smollm3", "SmolLM3", {
        **DENSE, **SIX_HEADS, "attention_bias": True, "mlp_bias": True,
        "use_sliding_window": True,
        "sliding_window": 24, "no_rope_layers": [1, 0, 1, 0], "no_rope_layer_interval": 2,
        "rope_scaling": None, "rope_theta": 5000.0, "pretraining_tp": 2, "pad_token_id": 0},
        n_ids=170),
    "smollm3-tied": case("smollm3", "SmolLM3", {
        **DENSE, **SIX_HEADS, "attention_bias": False, "mlp_bias": False,
        "use_sliding_window": False,
        "sliding_window": None, "rope_theta": 5000.0, "max_window_layers": 28,
        "tie_word_embeddings": True, "pad_token_id": 0}),
    "gemma3_text-tied": case("gemma3_text", "Gemma3", {
        **GEMMA, "attention_bias": False, "tie_word_embeddings": True,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}, n_ids=170, **ALL_NORMS),
    "gemma3_text-untied": case("gemma3_text", "Gemma3", {
        **GEMMA, "attention_bias": True, "sliding_window": 21, "num_hidden_layers": 4,
        "rope_scaling": None, "tie_word_embeddings": False}, n_ids=170, **ALL_NORMS),
}
# Where the classes of transformers are not called after the stem.
CASES["qwen3_5_text-odd"].classes = ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM")
CASES["qwen3_5_text-tied"].classes = ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM")
for _name in ("qwen3_5_text-odd", "qwen3_5_text-tied"):
    CASES[_name].hub["architectures"] = ["Qwen3_5ForCausalLM"]
for _name in ("gemma3_text-tied", "gemma3_text-untied"):
    CASES[_name].classes = ("Gemma3TextConfig", "Gemma3ForCausalLM")
for _case in CASES.values():  # REMOVED stands for a key that only the class is told
    _case.hub = {key: value for key, value in _case.hub.items() if value != REMOVED}
