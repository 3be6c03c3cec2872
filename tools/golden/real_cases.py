"""The prompts of the real model, and their tokens by dashscope's qwen.tiktoken.

A prompt is a list of plain texts and special token ids, so no tokenizer's idea of special tokens is involved.
"""

import pathlib

import dashscope
from dashscope.tokenizers.qwen_tokenizer import QwenTokenizer

from golden import long_text

IM_START, IM_END = 151644, 151645
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


def chat(*turns, system=SYSTEM):
    """The model's chat form, up to where the assistant speaks; turns alternate, the user first."""
    parts = [IM_START, f"system\n{system}", IM_END, "\n"]
    for index, turn in enumerate(turns):
        parts += [IM_START, ("user\n", "assistant\n")[index % 2] + turn, IM_END, "\n"]
    return [*parts, IM_START, "assistant\n"]


# A text's first token has to serve attention as its sink, and some serve badly: with 从前有一座山 in front of the Chinese
# prompt transformers' own bf16 runs (sdpa and eager) are at KL 0.27 and 0.7 on the second token, and the mean over all
# prompts would measure that one accident. In f32 it makes no difference.
SHORT = {
    "english": ["The lighthouse keeper counted the ships twice that evening, because the fog had come in early and the "
                "harbour bell, which usually marked the quarter hours, had been silent since noon. By the time"],
    "chinese": ["山脚下住着一位老木匠。每年春天,河水上涨的时候,他都会把新做好的小船送给村里的孩子们。"
                "今年不一样,因为"],
    "code-python": ["import heapq\n\n\ndef shortest_path(graph, start, goal):\n    \"\"\"Dijkstra over a dict of "
                    "{node: {neighbour: cost}}.\"\"\"\n    queue = [(0, start, [])]\n    seen = set()\n"],
    "code-rust": ["/// Merges overlapping half-open ranges in place.\npub fn merge(ranges: &mut Vec<(u32, u32)>) {\n"
                  "    ranges.sort_unstable();\n\tlet mut out: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());\n"],
    "mixed-scripts": ["Good morning 🌅 in seven tongues: доброе утро, صباح الخير, おはようございます, καλημέρα, "
                      "בוקר טוב, सुप्रभात, 早上好 — and in French:"],
    "numbers-table": ["year,rainfall_mm,days\n1997,812.5,143\n1998,1024.75,171\n1999,640.0,99\n2000,"],
    "chat-english": chat("Explain in three sentences why the sky is blue, then give one common wrong explanation."),
    "chat-chinese": chat("什么是二分查找?", "二分查找是在有序数组中查找元素的算法,每次把范围缩小一半。",
                         "请用 C++ 写一个例子,并说明时间复杂度。", system="你是一个简洁的编程助手。"),
}

# Name -> (seed, days, exact number of tokens).
LONG = {"long-1100": (11, 60, 1100), "long-2300": (23, 80, 2300)}
LONG_STRIDE = 16


def tokenizer():
    """dashscope's tokenizer over its own vocabulary file."""
    return QwenTokenizer(str(pathlib.Path(dashscope.__file__).parent / "resources" / "qwen.tiktoken"))


def encode(encoder, parts):
    """Token ids of texts and special ids; text never becomes a special token."""
    ids = []
    for part in parts:
        ids += [part] if isinstance(part, int) else encoder.encode(part, allowed_special=set())
    return ids


def cases():
    """Every case: name, description, token ids, positions to keep, whether greedy tokens are wanted."""
    encoder, found = tokenizer(), []
    for name, parts in SHORT.items():
        ids = encode(encoder, parts)
        found.append({"name": name, "prompt": parts, "ids": ids, "positions": list(range(len(ids))), "greedy": True})
    for name, (seed, days, count) in LONG.items():
        ids = encode(encoder, [long_text.compose(seed, days)])
        if len(ids) < count:
            raise SystemExit(f"{name}: {len(ids)} tokens composed, {count} wanted")
        positions = sorted({*range(0, count, LONG_STRIDE), count - 1})
        text = f"tools/golden/long_text.py: compose({seed}, {days}), first {count} tokens"
        found.append({"name": name, "prompt": [text], "ids": ids[:count], "positions": positions, "greedy": False})
    return found


def decode(ids):
    """Text of token ids, for people to read."""
    return tokenizer().decode(ids)
