"""Dense decoders that are served widely, each with the public configuration that has its shape and where that was read.

An entry whose source could not be opened says so (`was_read`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from planner.jobs.known.named import NamedArchitecture, decoder
from planner.jobs.known.sources import ATB_MODELS, LITGPT, LLM_ANALYSIS, MLC, NEMO, TRANSFORMERS

# The output head's words and the picture's placeholders; LitGPT lists the 262,144 words alone.
GEMMA_3 = f"config.json, as in {LITGPT}; vocabulary as in {NEMO}/gemma3.py; without the encoder of pictures"

SERVED: tuple[NamedArchitecture, ...] = (
    NamedArchitecture(
        "llama-30b",
        "LLaMA 30B",
        decoder("LLaMA 30B", (60, 6656, 52, 52, 17920, 32000), 2048),
        32.5e9,
        f"LLaMA paper (arXiv:2302.13971), table 2; config.json of its tuning Platypus-30B, as in {LITGPT}",
        date(2023, 2, 24),
    ),
    NamedArchitecture(
        "llama-65b",
        "LLaMA 65B",
        decoder("LLaMA 65B", (80, 8192, 64, 64, 22016, 32000), 2048),
        65.2e9,
        f"LLaMA paper (arXiv:2302.13971), table 2; {LLM_ANALYSIS}/decapoda-research_llama-65b-hf.json; "
        "feed-forward width as in jafioti/luminal, examples/llama/config.rs",
        date(2023, 2, 24),
    ),
    NamedArchitecture(
        "llama-3.2-3b",
        "Llama 3.2 3B",
        decoder("Llama 3.2 3B", (28, 3072, 24, 8, 8192, 128256), 131072, tied=True),
        3.21e9,
        f"meta-llama/Llama-3.2-3B model card; config.json as in {MLC}",
        date(2024, 9, 25),
    ),
    NamedArchitecture(
        "codellama-34b",
        "Code Llama 34B",
        decoder("Code Llama 34B", (48, 8192, 64, 8, 22016, 32000), 16384),
        33.7e9,
        f"codellama/CodeLlama-34b-hf config.json, as in {LITGPT}",
        date(2023, 8, 24),
    ),
    NamedArchitecture(
        "gemma-7b",
        "Gemma 7B",
        decoder("Gemma 7B", (28, 3072, 16, 16, 24576, 256000), 8192, tied=True, head_width=256),
        8.54e9,
        f"google/gemma-7b config.json, as in {LITGPT}",
        date(2024, 2, 21),
    ),
    NamedArchitecture(
        "gemma-2-2b",
        "Gemma 2 2B",
        replace(
            decoder("Gemma 2 2B", (26, 2304, 8, 4, 9216, 256000), 8192, tied=True, head_width=256),
            window=4096,
            windowed_layers=13,
        ),
        2.61e9,
        f"google/gemma-2-2b config.json, as in {MLC}; every other layer has a window, as in {LITGPT}",
        date(2024, 7, 31),
    ),
    NamedArchitecture(
        "gemma-2-9b",
        "Gemma 2 9B",
        replace(
            decoder("Gemma 2 9B", (42, 3584, 16, 8, 14336, 256000), 8192, tied=True, head_width=256),
            window=4096,
            windowed_layers=21,
        ),
        9.24e9,
        f"google/gemma-2-9b config.json, as in {MLC}; every other layer has a window, as in {LITGPT}",
        date(2024, 6, 27),
    ),
    NamedArchitecture(
        "gemma-2-27b",
        "Gemma 2 27B",
        replace(
            decoder("Gemma 2 27B", (46, 4608, 32, 16, 36864, 256000), 8192, tied=True, head_width=128),
            window=4096,
            windowed_layers=23,
        ),
        27.2e9,
        f"google/gemma-2-27b config.json, as in {MLC}; every other layer has a window, as in {LITGPT}",
        date(2024, 6, 27),
    ),
    NamedArchitecture(
        "gemma-3-4b",
        "Gemma 3 4B, text",
        replace(
            decoder("Gemma 3 4B", (34, 2560, 8, 4, 10240, 262208), 131072, tied=True, head_width=256),
            window=1024,
            windowed_layers=29,
        ),
        3.88e9,
        f"google/gemma-3-4b-it {GEMMA_3}",
        date(2025, 3, 12),
    ),
    NamedArchitecture(
        "gemma-3-12b",
        "Gemma 3 12B, text",
        replace(
            decoder("Gemma 3 12B", (48, 3840, 16, 8, 15360, 262208), 131072, tied=True, head_width=256),
            window=1024,
            windowed_layers=40,
        ),
        11.8e9,
        f"google/gemma-3-12b-it {GEMMA_3}",
        date(2025, 3, 12),
    ),
    NamedArchitecture(
        "gemma-3-27b",
        "Gemma 3 27B, text",
        replace(
            decoder("Gemma 3 27B", (62, 5376, 32, 16, 21504, 262208), 131072, tied=True, head_width=128),
            window=1024,
            windowed_layers=52,
        ),
        27.0e9,
        f"google/gemma-3-27b-it {GEMMA_3}",
        date(2025, 3, 12),
    ),
    NamedArchitecture(
        "phi-3-mini",
        "Phi-3 mini",
        replace(decoder("Phi-3 mini", (32, 3072, 32, 32, 8192, 32064), 4096), window=2047, windowed_layers=32),
        3.82e9,
        f"microsoft/Phi-3-mini-4k-instruct config.json, as in {MLC}",
        date(2024, 4, 23),
    ),
    NamedArchitecture(
        "phi-4",
        "Phi-4",
        decoder("Phi-4", (40, 5120, 40, 10, 17920, 100352), 16384),
        14.7e9,
        f"microsoft/phi-4 config.json, as in {LITGPT}",
        date(2024, 12, 12),
    ),
    NamedArchitecture(
        "mistral-nemo",
        "Mistral Nemo 12B",
        decoder("Mistral Nemo 12B", (40, 5120, 32, 8, 14336, 131072), 131072, head_width=128),
        12.2e9,
        f"mistralai/Mistral-Nemo-Instruct-2407 model card; feed-forward width as in {NEMO}/mistral.py at 09d2252",
        date(2024, 7, 18),
    ),
    NamedArchitecture(
        "mistral-small-24b",
        "Mistral Small 24B",
        decoder("Mistral Small 24B", (40, 5120, 32, 8, 32768, 131072), 32768, head_width=128),
        23.6e9,
        f"mistralai/Mistral-Small-24B-Base-2501 config.json, as in {LITGPT}; "
        "its 32 k positions from a note on that file (LitGPT has 131,072)",
        date(2025, 1, 30),
    ),
    NamedArchitecture(
        "mistral-large-2",
        "Mistral Large 2",
        decoder("Mistral Large 2", (88, 12288, 96, 8, 28672, 32768), 131072),
        123e9,
        f"mistralai/Mistral-Large-Instruct-2407 config.json, as in {LITGPT}; positions as in {NEMO}/mistral.py",
        date(2024, 7, 24),
    ),
    NamedArchitecture(
        "command-r",
        "Command R 35B",
        decoder("Command R 35B", (40, 8192, 64, 64, 22528, 256000), 131072, tied=True),
        35.0e9,
        f"CohereForAI/c4ai-command-r-v01, the defaults of {TRANSFORMERS}/cohere/configuration_cohere.py at 008e574",
        date(2024, 3, 11),
    ),
    NamedArchitecture(
        "command-r-plus",
        "Command R+ 104B",
        decoder("Command R+ 104B", (64, 12288, 96, 8, 33792, 256000), 131072, tied=True),
        104e9,
        "CohereForAI/c4ai-command-r-plus config.json and model card",
        date(2024, 4, 4),
        was_read=False,
    ),
    NamedArchitecture(
        "deepseek-coder-33b",
        "DeepSeek Coder 33B",
        decoder("DeepSeek Coder 33B", (62, 7168, 56, 8, 19200, 32256), 16384),
        33.3e9,
        "deepseek-ai/deepseek-coder-33b-base, as in alibaba/Pai-Megatron-Patch at 1520418, "
        "examples/deepseek/run_evaluate_megatron_deepseek.sh; vocabulary as printed for the 1.3B of the line",
        date(2023, 10, 28),
    ),
    NamedArchitecture(
        "yi-6b",
        "Yi 6B",
        decoder("Yi 6B", (32, 4096, 32, 4, 11008, 64000), 4096),
        6.06e9,
        "01-ai/Yi-6B config.json, as in InternLM/InternEvo-HFModels, huggingface_model/yi/yi_6B/configuration_yi.py",
        date(2023, 11, 2),
    ),
    NamedArchitecture(
        "glm-4-9b",
        "GLM-4 9B",
        decoder("GLM-4 9B", (40, 4096, 32, 2, 13696, 151552), 131072),
        9.4e9,
        f"THUDM/glm-4-9b-chat, the defaults of {TRANSFORMERS}/glm/configuration_glm.py at 008e574",
        date(2024, 6, 4),
    ),
    NamedArchitecture(
        "chatglm3-6b",
        "ChatGLM3 6B",
        decoder("ChatGLM3 6B", (28, 4096, 32, 2, 13696, 65024), 8192),
        6.24e9,
        f"THUDM/chatglm3-6b config.json, as in {MLC}",
        date(2023, 10, 25),
    ),
    NamedArchitecture(
        "baichuan2-7b",
        "Baichuan 2 7B",
        decoder("Baichuan 2 7B", (32, 4096, 32, 32, 11008, 125696), 4096),
        7.5e9,
        f"baichuan-inc/Baichuan2-7B-Base config.json, as in {MLC}",
        date(2023, 9, 6),
    ),
    NamedArchitecture(
        "baichuan2-13b",
        "Baichuan 2 13B",
        decoder("Baichuan 2 13B", (40, 5120, 40, 40, 13696, 125696), 4096),
        13.9e9,
        f"baichuan-inc/Baichuan2-13B-Base config.json, as in {ATB_MODELS}/baichuan/v2_13b/config_baichuan.py",
        date(2023, 9, 6),
    ),
    NamedArchitecture(
        "internlm2-7b",
        "InternLM2 7B",
        decoder("InternLM2 7B", (32, 4096, 32, 8, 14336, 92544), 32768),
        7.74e9,
        f"internlm/internlm2-7b config.json, as in {MLC}",
        date(2024, 1, 17),
    ),
    NamedArchitecture(
        "internlm2-20b",
        "InternLM2 20B",
        decoder("InternLM2 20B", (48, 6144, 48, 8, 16384, 92544), 32768),
        19.86e9,
        "internlm/internlm2-20b config.json, as in microsoft/vidur at 01f216f, vidur/config/model_config.py",
        date(2024, 1, 17),
    ),
)
