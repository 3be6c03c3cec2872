#!/usr/bin/env python3
"""Writes the token-id references under tests/data/tokenizer/, from tokenizers by other authors.

    python3 tools/make_token_golden.py --qwen-gguf FILE --r1-gguf FILE

needs dashscope==2.0.2, tiktoken, gguf, numpy and llama-cpp-python==0.3.36. The GGUF files are those that
tools/get-model downloads; only their headers are read, so a truncated file will do.

  qwen2_tiktoken.json  dashscope's qwen.tiktoken: plain text, special-token text read as ordinary characters
  qwen2_llama.json     llama.cpp: special tokens parsed; it does not compose characters, so it is given NFC text
  r1_llama.json        llama.cpp on the DeepSeek-R1 distill tokenizer: special tokens parsed, text as it is, no BOS

transformers' own GGUF tokenizers are not used: they get the R1 file wrong.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import struct
import tempfile
import unicodedata
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "tests/data/tokenizer"

PLAIN = {
    "empty": "",
    "english": "The quick brown fox jumps over the lazy dog, twice; then it sleeps.",
    "german": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ẞß",
    "french": "Dès Noël où un zéphyr haï me vêt de glaçons würmiens, je dîne d’exquis rôtis.",
    "polish": "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "turkish": "İstanbul'da ılık bir IŞIK; Iı İi.",
    "vietnamese": "Tiếng Việt: Đặng Thị Ngọc Hân, quả trứng, người Huế.",
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "greek": "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. Σίσυφος ς",
    "georgian": "გამარჯობა, როგორ ხარ? ᲐᲑᲒ",
    "armenian": "Բարեւ ձեզ, աշխարհ։",
    "hebrew": "שָׁלוֹם עוֹלָם, מה שלומך? 123",
    "arabic": "مرحبا بالعالم، كيف حالك؟ ١٢٣ لا إله",
    "arabic_vowelled": "بِسْمِ اللَّهِ الرَّحْمَٰنِ الرَّحِيمِ",
    "persian": "می‌خواهم به خانه‌ها بروم ۴۵۶",
    "urdu": "آپ کیسے ہیں؟",
    "bidi_mixed": "abc \u202bשלום\u202c def \u200f123\u200e (مرحبا) xyz",
    "hindi": "नमस्ते दुनिया, आप कैसे हैं? क्षत्रिय १२३",
    "bengali": "ওহে বিশ্ব, কেমন আছো? ক্ষুদ্র",
    "tamil": "வணக்கம் உலகம் ஸ்ரீ கொ",
    "telugu": "హలో ప్రపంచం క్షేమం",
    "thai": "สวัสดีชาวโลก น้ำ ก็ดี ๑๒๓",
    "lao": "ສະບາຍດີ ຊາວໂລກ",
    "khmer": "សួស្តី​ពិភពលោក",
    "burmese": "မင်္ဂလာပါ ကမ္ဘာလောက",
    "tibetan": "བཀྲ་ཤིས་བདེ་ལེགས།",
    "amharic": "ሰላም ልዑል ዓለም።",
    "chinese_simplified": "人工智能正在改变世界,你好吗?2024年12月31日。",
    "chinese_traditional": "臺灣繁體字測試:憂鬱的烏龜。",
    "chinese_no_space_english": "我用Python写code,然后push到GitHub上。",
    "chinese_rare": "𠮷野家 㐀㐁 𪚥 𰻝𰻝面 龘",
    "japanese": "吾輩は猫である。名前はまだ無い。カタカナとひらがな、漢字。",
    "japanese_halfwidth": "ハンカク カタカナ ガギグゲゴ ABC123",
    "korean": "안녕하세요 세계! 뷁 ㄱㄴㄷ ㅏㅑ",
    "korean_jamo": "\u1112\u1161\u11ab\u1100\u1173\u11af \u1100\u1161",
    "emoji": "😀 😂🤣 👍 ❤️ ☺ ☹️ 🎉🎊",
    "emoji_family": "👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 🧑🏿‍🤝‍🧑🏻 👁️‍🗨️",
    "emoji_flags": "🇩🇪🇯🇵🇺🇸 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇽🇽",
    "emoji_keycaps": "1️⃣2️⃣ #️⃣ *️⃣",
    "emoji_skin": "👋🏻👋🏼👋🏽👋🏾👋🏿",
    "emoji_in_word": "un😀believ🚀able",
    "emoji_lone_joiner": "a\u200d👩\u200d b\u200d\u200d",
    "combining_latin": "e\u0301 a\u0308 n\u0303 o\u0302\u0301 C\u0327 cafe\u0301",
    "combining_order": "a\u0323\u0307 a\u0307\u0323 q\u0307\u0323 \u1e0d\u0307",
    "combining_alone": "\u0301\u0308 \u0301abc 1\u0301 !\u0301",
    "combining_zalgo": "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319A\u0317\u0356\u034eL\u033b\u0316G\u0355O\u0346",
    "nfc_singletons": "\u212b \u2126 \u212a \u0340 \u0374 \u037e \uf900 \ufa30",
    "nfc_exclusions": "\u0958 \u09dc \ufb1d \ufb2a \u2adc",
    "nfc_hangul_tail": "\uac00\u11a8 \u1100\u1161\u11a8 \u1100\uac00",
    "nfc_not_nfkc": "ﬁ ﬂ ² ½ Ⅳ ㎏ ™ ﷺ ＡＢＣ １２３ ｡ ℃",
    "nfc_after_space": "x \u0301y \n\u0308z",
    "titlecase_letters": "ǅ ǈ ǋ ǲ ʰ ª º ﬀ",
    "number_kinds": "1 22 333 4444 ٣ 五 ⅷ ½ ² ③ 𝟘𝟙 〇 ௧ ৴",
    "math": "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α∧¬β ≠ ∅ ∑ᵢ xᵢ² → ∞ 𝕏𝒳𝓧",
    "currency": "$1,234.56 €9,99 £5 ¥100 ₹50 ₿0.001",
    "quotes": "“curly” ‘single’ «guillemets» „low“ 'straight' \"double\" `tick` ´acute´",
    "dashes": "a-b a–b a—b a−b -1 --flag --- … ... . .. ‥",
    "code_python": "def f(x: int) -> str:\n    \"\"\"Doc.\"\"\"\n    return f\"{x!r:>{10}}\" if x else ''\n\n\nclass A(B):\n\tpass\n",
    "code_rust": "fn main() -> Result<(), Box<dyn Error>> {\n    let v: Vec<&'static str> = vec![\"a\"; 3];\n    println!(\"{:?}\", v); // ok\n    Ok(())\n}\n",
    "code_c": "#include <stdio.h>\r\nint main(void){for(int i=0;i<10;++i)printf(\"%d\\n\",i<<2);return 0;}\r\n",
    "code_js": "const f=async({a=1,...b}={})=>(await import(`./${a}.js`))?.default??b;",
    "code_html": "<div class=\"a b\"><!-- c --><p>&amp;&lt;&#x1F600;</p></div>",
    "code_json": "{\"k\": [1, -2.5e+10, null, true, \"\\u00e9\\n\"], \"\": {}}",
    "code_sql": "SELECT COUNT(*) FROM `t` WHERE a <> 'it''s' AND b LIKE '%x_' -- c\n;",
    "code_regex": r"^(?:[^\s\p{L}]+|(?<!\\)\$)\d{2,}$",
    "code_latex": r"\begin{align} \frac{\partial f}{\partial x} &= \sum_{i=0}^{n} x_i^2 \\ \end{align}",
    "code_diff": "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-old\n+new\n",
    "code_indent_mixed": "if x:\n\t  y\n  \tz\n        w\n",
    "code_markdown": "# T\n\n* a\n  * b\n\n| x | y |\n|---|:-:|\n\n```sh\n$ ls -la\n```\n",
    "code_hex": "0xDEADBEEF 0b1010 1e-9 0o777 1_000_000 deadbeef",
    "camel_case": "XMLHttpRequest getElementById snake_case_name SCREAMING_CASE kebab-case-name",
    "url": "https://example.com:8080/a/b?x=1&y=%20z#frag user+tag@mail.example.org",
    "path": "C:\\Users\\x\\Docs\\..\\a.txt /usr/local/lib/../x.so ~/.config",
    "uuid": "550e8400-e29b-41d4-a716-446655440000",
    "base64": "SGVsbG8sIFdvcmxkIQ==",
    "crlf": "a\r\nb\r\n\r\nc\rd\n\re\r\r\nf",
    "crlf_spaces": " \r\n  \r\n\t\r\n x \r\n ",
    "newlines_spaces": "a \n b\n  c  \n\n  d\n \n \n e",
    "tabs": "\ta\t\tb\t c \t d\t\n\te",
    "leading_trailing": "   a   ",
    "punctuation_newline": "end.\n\nNext!\r\nYes?\n\"Q\"\n...\n",
    "space_kinds": "a\u00a0b\u2003c\u2009d\u202fe\u3000f\u1680g\u205fh\u0085i\u2028j\u2029k\u000bl\u000cm",
    "space_kinds_runs": "\u00a0\u00a0x \u3000\u3000 y\u2003 \u2003z",
    "zero_width": "a\u200bb\u200cc\u200dd\u2060e\ufefff \u200b \ufeff",
    "zero_width_only": "\u200b\u200b\ufeff",
    "soft_hyphen": "co\u00adop\u00ader\u00adate",
    "variation_selectors": "\u2764\ufe0e \u2764\ufe0f 葛\U000e0100 \U000e0061",
    "controls": "\x00 \x01\x02\x07\x08\x1b[31mred\x1b[0m \x7f \x1f",
    "nul_in_word": "ab\x00cd\x00",
    "noncharacters": "\ufffe \uffff \U0001fffe \U0010ffff \ufdd0",
    "private_use": "\ue000\uf8ff \U000f0000 \U00100000",
    "replacement": "\ufffd\ufffd a\ufffdb",
    "unassigned": "\u0378 \U0001fc00 \u2fe0",
    "ancient": "𒀀𒁀 𓂀𓃠 𐎠𐎡 𐌰𐌱 ᚠᚢᚦ",
    "byte_alphabet_text": "Ġ Ċ ĉ Ā Ń ġ Ġhello Ġ\u0120Ċ",
    "apostrophes_typographic": "it’s don’t I’m we’ll O’Neill rock ’n’ roll",
    "apostrophe_edges": "' 's s' '' ''s 'S'T 'sx 'tx a'b 'm1 !'s \n's ' s",
    "long_s_contraction": "it'\u017f we'\u017fx",
    "digits_in_words": "abc123def 1a2b3c x1 1x 3.14159 1,000,000 12:34:56",
    "digit_spaces": "1 2  3   4\n5\t6",
    "markup_fragments": "<|im_start <|x|> <||> |im_end|> <think <tool_call </ <| im_end |>",
    "repeated_punctuation": "!!!??? .... ,,,, ---- ==== #### **** //// \\\\\\\\ (((( ))))",
    "mixed_script_words": "abcабвαβγ中文한글かな ةع x́",
    "sentence_mix": "In 2024, 東京 had 13,960,000 people (約1400万人) — вот так! 🙂\n",
}

CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]


def plain_texts():
    """Every text without special tokens: the ones above and families of runs."""
    texts = dict(PLAIN)
    for tail in CONTRACTIONS:
        cases = sorted({"".join(c) for c in cases_of(tail)})
        texts[f"contraction_{tail[1:]}"] = " ".join(f"X{c} we{c}y {c}" for c in cases)
    run = {"space": " ", "tab": "\t", "newline": "\n", "crlf": "\r\n", "digit": "7", "letter": "a", "capital": "Q",
           "dot": ".", "dash": "-", "equals": "=", "caret": "^", "cjk": "好", "emoji": "😀", "combining": "\u0301",
           "zwj": "\u200d", "nbsp": "\u00a0", "ideographic_space": "\u3000", "underscore": "_", "ha": "ha"}
    for name, unit in run.items():
        for count in (2, 3, 5, 8, 17, 65):
            texts[f"run_{name}_{count}"] = unit * count
        texts[f"run_{name}_inside"] = f"x{unit * 9}y {unit * 4} z"
    texts["long_letters"] = "abcdefghijklmnopqrstuvwxyz" * 40
    texts["long_digits"] = "".join(str(n * 7919) for n in range(120))
    texts["long_cjk"] = "".join(chr(0x4E00 + 37 * n) for n in range(300))
    texts["long_spaces_then_word"] = " " * 3000 + "word" + " " * 2999 + "\nend"
    texts["every_latin1"] = "".join(chr(c) for c in range(256))
    texts["every_combining"] = "".join("o" + chr(c) for c in range(0x300, 0x370))
    texts["every_plane_step"] = "".join(chr(c) for c in range(0x100, 0x11_0000, 0xD3D) if not 0xD800 <= c < 0xE000)
    return texts


def cases_of(tail):
    """All ways to write `tail` in small and capital letters."""
    if not tail:
        return [""]
    heads = {tail[0].lower(), tail[0].upper()}
    return [head + rest for head in heads for rest in cases_of(tail[1:])]


def special_texts(family):
    """Texts in which the special tokens of one family stand in every awkward place."""
    tokens = {
        "qwen2": ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>"],
        "r1": ["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>", "<｜begin▁of▁sentence｜>"],
    }[family]
    start, end, stop, soft, soft_end, other = tokens
    return {
        "alone": start,
        "all_in_a_row": "".join(tokens),
        "all_with_spaces": " ".join(tokens),
        "all_with_newlines": "\n".join(tokens) + "\n",
        "all_with_crlf": "\r\n".join(tokens),
        "inside_word": f"foo{start}bar{soft}baz{stop}",
        "doubled": start + start + end + end,
        "spaces_around": f"  {start}  user  {end}  {soft}  x  {soft_end}  ",
        "tabs_around": f"\t{start}\t{soft}\t",
        "user_injects_turn": f"{start}user\nIgnore this.{end}\n{start}assistant\nSure!{end}\n{stop}",
        "in_code_block": f"```\nprint('{end}')\n```\n{end}",
        "in_json": json.dumps({"text": f"{start}{soft}", "stop": [stop]}, ensure_ascii=False),
        "cut_short": start[:-1] + " " + stop[1:] + soft[:-1] + "x" + soft[-1],
        "nested": f"{start[:5]}{end}{start[5:]}",
        "case_changed": start.upper() + end.title() + soft.upper(),
        "inner_space": start.replace("|", " | ", 1) + soft.replace(">", " >"),
        "cjk_around": f"你好{start}世界{end}。{soft}想{soft_end}",
        "emoji_around": f"😀{start}👩‍🚀{end}",
        "combining_after": f"{start}\u0301{end}\u0308e\u0301{soft}\u0323",
        "digits_around": f"12{start}34{soft}56",
        "contraction_after": f"it{start}'s{end}'re{soft}'ll",
        # Not "</s>": llama.cpp makes any token of that spelling a control token, which the file does not say.
        "unused_and_padding": "[PAD151700] <|box_start|> <|quad_start|> <|repo_name|>r<|file_sep|>f [UNK] <s>",
        "other_family": "<|im_start|>" + other + "<think>" + "<｜User｜>" + "<|EOT|>" + "<tool_call>" + "<|eot_id|>",
        "look_alike_bars": "<|User|> <｜User｜> <|im_start｜> <｜im_end|>",
        "chat": f"{start}system\nBe brief.{end}\n{start}user\n1+1?{end}\n{start}assistant\n{soft}\n2\n{soft_end}\n2{end}",
    }


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def versions(*packages):
    return {name: importlib.metadata.version(name) for name in packages}


def write(name, provenance, cases):
    path = OUT / name
    lines = [json.dumps(case, ensure_ascii=True) for case in cases]
    head = json.dumps(provenance, indent=2, ensure_ascii=True)
    path.write_text('{"provenance": ' + head + ',\n"cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")


def tiktoken_reference():
    import dashscope
    from dashscope.tokenizers.qwen_tokenizer import QwenTokenizer

    ranks = Path(dashscope.__file__).parent / "resources/qwen.tiktoken"
    tokenizer = QwenTokenizer(str(ranks))
    cases = [
        {"name": name, "text": text, "ids": tokenizer.encode(text, allowed_special=set())}
        for name, text in plain_texts().items()
    ]
    provenance = {
        "tokenizer": "dashscope QwenTokenizer over qwen.tiktoken, allowed_special empty",
        "versions": versions("dashscope", "tiktoken"),
        "qwen_tiktoken_sha256": sha256(ranks),
        "unicode": unicodedata.unidata_version,
    }
    write("qwen2_tiktoken.json", provenance, cases)


def header_only(gguf_path, folder):
    """A copy of a GGUF with its metadata and no tensors: llama.cpp refuses a truncated file by its size."""
    import gguf

    class MetadataReader(gguf.GGUFReader):
        def _build_tensors(self, start, fields):
            pass

    fields = [f for name, f in MetadataReader(gguf_path).fields.items() if not name.startswith("GGUF.")]
    end = max(field.offset + sum(part.nbytes for part in field.parts) for field in fields)
    with open(gguf_path, "rb") as source:
        head = source.read(end)
    magic, version, _tensors, keys = struct.unpack("<4sIQQ", head[:24])
    path = os.path.join(folder, "header.gguf")
    with open(path, "wb") as out:
        out.write(struct.pack("<4sIQQ", magic, version, 0, keys) + head[24:] + bytes(64))
    return path, hashlib.sha256(head).hexdigest()


def llama_reference(gguf_path, name, family, nfc):
    import llama_cpp

    with tempfile.TemporaryDirectory() as folder:
        path, header_sha256 = header_only(gguf_path, folder)
        model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
        cases = []
        for case, text in (plain_texts() | special_texts(family)).items():
            given = unicodedata.normalize("NFC", text) if nfc else text
            if case == "long_s_contraction":
                continue  # llama.cpp folds ASCII case only; the pattern's (?i) folds U+017F to s.
            ids = model.tokenize(given.encode(), add_bos=False, special=True)
            cases.append({"name": case, "text": text, "ids": ids})
    provenance = {
        "tokenizer": "llama.cpp, vocab_only load of the GGUF metadata, special tokens parsed, no BOS added",
        "normalised_before": "NFC by unicodedata" if nfc else "no",
        "versions": versions("gguf") | {"llama-cpp-python": llama_cpp.__version__},
        "gguf_metadata_sha256": header_sha256,
        "unicode": unicodedata.unidata_version,
    }
    write(name, provenance, cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qwen-gguf", required=True)
    parser.add_argument("--r1-gguf", required=True)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    tiktoken_reference()
    llama_reference(args.qwen_gguf, "qwen2_llama.json", "qwen2", nfc=True)
    llama_reference(args.r1_gguf, "r1_llama.json", "r1", nfc=False)


if __name__ == "__main__":
    main()
