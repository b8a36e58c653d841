# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE of a tokenizer.json, in plain Python: encode and decode.

Understands what the embedded model's file holds: a BPE model without dropout or unknown
token, the ByteLevel pre-tokenizer with its regular expression, added special tokens. It
refuses the rest. Slow and dependency-free, so that scoring needs no tokenizer library.
"""
import functools
import json
import os
import re
import unicodedata

# GPT-2's pattern, for text whose characters are replaced by ASCII of their class.
PATTERN = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+"
                     r"|\s+(?!\S)|\s+", re.ASCII)


def byte_letters():
    """GPT-2's map of the 256 bytes to printable characters."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain},
            **{byte: chr(256 + i) for i, byte in enumerate(moved)}}


LETTER_OF = byte_letters()
BYTE_OF = {letter: byte for byte, letter in LETTER_OF.items()}


def class_letter(char):
    r"""An ASCII stand-in of the same class: letter, number, white space or other."""
    if "\x1c" <= char <= "\x1f":
        return "!"  # str.isspace() counts these, \s of the pattern does not
    if char < "\x80":
        return char
    if char.isspace():
        return "\t"
    return {"L": "a", "N": "0"}.get(unicodedata.category(char)[0], "!")


def split(text):
    classes = "".join(map(class_letter, text))
    return [text[m.start():m.end()] for m in PATTERN.finditer(classes)]


class Tokenizer:
    def __init__(self, folder):
        with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
            raw = json.load(file)
        check(folder, raw)
        self.ids = raw["model"]["vocab"]
        pairs = (m.split(" ") if isinstance(m, str) else m for m in raw["model"]["merges"])
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(pairs)}
        self.added = {token["content"]: token["id"] for token in raw["added_tokens"]}
        self.pieces = {i: piece for piece, i in {**self.ids, **self.added}.items()}
        self.marks = re.compile("|".join(map(re.escape, self.added)) or r"(?!)")
        self.word = functools.lru_cache(maxsize=200000)(self.merge)

    def merge(self, word):
        """The ids of one pre-token: the lowest-ranked pair is merged until none is left."""
        parts = [LETTER_OF[byte] for byte in word.encode("utf-8")]
        while len(parts) > 1:
            ranks = [self.ranks.get(pair, len(self.ranks)) for pair in zip(parts, parts[1:])]
            best = min(ranks)
            if best == len(self.ranks):
                break
            at = ranks.index(best)
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        return tuple(self.ids[part] for part in parts)

    def encode(self, text):
        ids, end = [], 0
        for mark in self.marks.finditer(text):
            ids += self.encode_plain(text[end:mark.start()]) + [self.added[mark.group()]]
            end = mark.end()
        return ids + self.encode_plain(text[end:])

    def encode_plain(self, text):
        return [i for word in split(text) for i in self.word(word)]

    def decode(self, ids):
        data = b"".join(self.piece_bytes(i) for i in ids)
        return data.decode("utf-8", errors="replace")

    def piece_bytes(self, i):
        piece = self.pieces[i]
        if piece in self.added:
            return piece.encode("utf-8")
        return bytes(BYTE_OF[letter] for letter in piece)


def check(folder, raw):
    model, pre = raw["model"], raw["pre_tokenizer"]
    expected = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    found = {key: pre.get(key, True) for key in expected}
    if model["type"] != "BPE" or found != expected or raw.get("normalizer"):
        raise ValueError(f"{folder}/tokenizer.json: expected BPE with {expected} and no "
                         f"normalizer, found {model['type']} with {found}")
    if model.get("dropout") or model.get("ignore_merges") or model.get("byte_fallback"):
        raise ValueError(f"{folder}/tokenizer.json: dropout, ignore_merges or byte_fallback")
