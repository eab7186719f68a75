"""What the parity gate compares: texts that trip tokenizers, shapes of conversation, prefixes for next tokens."""

from __future__ import annotations

from engines.interface import Message

TEXTS = (
    "Hello, world!",
    " leading and trailing ",
    "",
    "\n\n\n",
    "a\tb\t\tc  d   e    f",
    "\r\n windows\r\nlines \r",
    "def f(x):\n    return {k: v**2 for k, v in x.items()}  # 1_000_000 == 1e6\n",
    "if(a<=b&&c!=d||!e){return a>>2;}",
    "0 1 12 123 1234 12345 1234567890 3.14159 -42 0x1F 1,234,567.89",
    "it's we'll I'M THEY'RE don't o'clock 'quoted'",
    "naïve café Ünïcödé ﬁ ligature ½ Ⅷ ①",
    "中文字符和日本語テキスト한국어",
    "Здравствуй мир, مرحبا بالعالم, שלום, नमस्ते दुनिया",
    "😀👍🏽👩‍👩‍👧‍👦🇺🇳 🏳️‍🌈 zero\u200bwidth \u202eright-to-left\u202c",
    "<|im_start|>user\nhi<|im_end|>",
    "<|eot_id|><|begin_of_text|>",
    "<start_of_turn>model\n<end_of_turn>",
    "</s><s>[INST] hi [/INST]",
    "<|endoftext|>after",
    "<eos> [EOS] <PRE> <EOT> [PAD] <PAD>",
    "http://example.org/a?b=c&d=%20#e",
    "ALLCAPS CamelCaseWords snake_case_words kebab-case-words",
    "!!!???...,,,;;;:::---___===+++",
    "\u00a0non\u00a0breaking\u3000wide",
    "e\u0301 combining vs é",
    "x" * 200,
    " " * 50 + "indented",
    "ǅ ǈ ß ſ İ ı",
    "𝒳𝓎𝓏 mathematical 𝟘𝟙𝟚",
    "\u0001\u0002 control",
)
"""Stress corpus for tokenizers: whitespace, code, digits, contractions, scripts, emoji, control and special tokens."""

CONVERSATIONS: tuple[tuple[Message, ...], ...] = (
    ({"role": "user", "content": "Hello"},),
    ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}),
    (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi! How can I help?"},
        {"role": "user", "content": "Write  code:\n\n    x = 1\n"},
    ),
    (
        {"role": "system", "content": "Du bist höflich. 😀"},
        {"role": "user", "content": "中文 <b>tags</b> {{ braces }} {% percent %}"},
        {"role": "assistant", "content": "好"},
        {"role": "user", "content": "  spaces around  "},
    ),
)

PREFIXES = (
    "The capital of France is",
    "def add(a, b):\n    return",
    "Once upon a time there was a",
    "1, 2, 3, 4,",
    "Water boils at a temperature of",
    "import numpy as np\n\ndef mean(values):\n    ",
)
