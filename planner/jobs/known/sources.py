"""Public repositories in which shapes and vocabularies were read, each with the version that was opened (2026-11-22).

They list the figures of the configurations that models are published with; entries name the configuration first. The
numbers of parameters beside the shapes are those that model cards state, and were not all looked up again.
"""

from __future__ import annotations

AICONFIGURATOR = "ai-dynamo/aiconfigurator at 64c5ddb, aic-core/src/aiconfigurator_core/model_configs"
ATB_MODELS = "inclusionAI/Ling, mindie_config/atb_models/build/lib/atb_llm/models"
FAIRSEQ = "facebookresearch/fairseq at 00d5b7a, fairseq/models/roberta/model.py"
KERAS_HUB = "keras-team/keras-hub at 0709f10, keras_nlp/models/xlm_roberta/xlm_roberta_presets.py"
LITGPT = "Lightning-AI/litgpt at 0006c97, litgpt/config.py"
LLM_ANALYSIS = "cli99/llm-analysis at b60b392, llm_analysis/model_configs"
MAXTEXT = "AI-Hypercomputer/maxtext at 5505348, src/maxtext/configs/models"
MEGATRON_BRIDGE = "NVIDIA-NeMo/Megatron-Bridge at 6b3e2a7, docs/models/llm"
METASEQ = "facebookresearch/metaseq at 0580bd7, metaseq/launcher/opt_job_constants.py"
MLC = "mlc-ai/mlc-llm at 01ced33, python/mlc_llm/model/model_preset.py"
NEMO = "NVIDIA/NeMo, nemo/collections/llm/gpt/model"
TRANSFORMERS = "huggingface/transformers, src/transformers/models"
VLLM = "vllm-project/vllm, vllm/model_executor/models"
