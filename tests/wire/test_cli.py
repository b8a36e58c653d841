#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands from outside: help, errors, exit codes, check, logits, perplexity.

Perplexity is compared with a second reading of its definition: the windows are cut here, scored
with `ssmd logits`, and summed in Python's floats.
"""
import array
import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import program  # noqa: E402

GOLDEN = program.ROOT / "tests/golden"
TINY = GOLDEN / "llama-default"
COMMANDS = ["serve", "check", "health", "chat", "complete", "perplexity", "logits", "bench", "quantize", "version"]

# A byte-level vocabulary small enough for the tiny models: letters, space, newline.
LETTERS = "abcdefghijklmnopqrstuvwxyz .,"


def byte_alphabet():
    """GPT-2's bytes as printable characters."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, n = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + n)
            n += 1
    return table


def letter_tokenizer():
    """tokenizer.json without merges: each of a few bytes is a token; <end> is an added one."""
    table = byte_alphabet()
    vocab = {table[b]: i + 3 for i, b in enumerate(LETTERS.encode() + b"\n")}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": 2, "content": "<end>", "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                          "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": []},
    }


class Folder:
    """A copy of a tiny model by links, with a tokenizer and a changed config."""

    def __init__(self, source, tokenizer=True, **changes):
        self.temporary = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.temporary.name)
        for weights in source.glob("*.safetensors*"):
            (self.path / weights.name).symlink_to(weights)
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        config.update(changes)
        config = {k: v for k, v in config.items() if v is not Ellipsis}
        self.write("config.json", config)
        if tokenizer:
            self.write("tokenizer.json", letter_tokenizer())

    def write(self, name, value):
        text = value if isinstance(value, str) else json.dumps(value)
        (self.path / name).write_text(text, encoding="utf-8")

    def close(self):
        self.temporary.cleanup()


class CliCase(unittest.TestCase):
    def refused(self, *words, code=2, says=(), **more):
        """Runs it; expects the code, one clear line on stderr and an empty stdout."""
        done = program.run(*words, **more)
        text = done.stderr.decode()
        self.assertEqual(done.returncode, code, text)
        self.assertEqual(done.stdout, b"")
        self.assertTrue(text.startswith("ssmd: "), text)
        self.assertEqual(text.count("\n"), 1, text)
        for part in says:
            self.assertIn(part, text)
        return text

    def accepted(self, *words, **more):
        done = program.run(*words, **more)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def folder(self, *args, **more):
        folder = Folder(*args, **more)
        self.addCleanup(folder.close)
        return folder

    def text_file(self, text):
        with tempfile.NamedTemporaryFile(delete=False) as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        self.addCleanup(os.unlink, f.name)
        return f.name


class HelpTest(CliCase):
    def test_the_page(self):
        page = self.accepted("--help")
        self.assertEqual(page, self.accepted("-h"))
        self.assertEqual(page, self.accepted("help"))
        for command in COMMANDS:
            self.assertRegex(page, rf"(?m)^  {command} ")
        self.assertLessEqual(max(map(len, page.split("\n"))), 100)

    def test_every_key_is_an_option_of_the_page(self):
        page = self.accepted("--help")
        for key, value in json.loads((program.ROOT / "configs/default.json").read_text()).items():
            for name in [f"{key}-{inner}" for inner in value] if isinstance(value, dict) else [key]:
                self.assertIn("--" + name.replace("_", "-") + " ", page)

    def test_pages_of_commands(self):
        for command in COMMANDS:
            page = self.accepted("help", command)
            self.assertEqual(page, self.accepted(command, "--help"))
            self.assertIn(f"Usage: ssmd {command}", page)
        self.assertIn("--greedy", self.accepted("logits", "--help"))
        self.assertNotIn("--port", self.accepted("logits", "--help"))

    def test_version(self):
        self.assertRegex(self.accepted("version"), r"^ssmd \d+\.\d+\.\d+\n$")
        self.assertEqual(self.accepted("version"), self.accepted("--version"))


class UsageTest(CliCase):
    def test_unknown_words(self):
        self.refused("srve", says=["unknown command", "srve", "--help"])
        self.refused("help", "srve", says=["srve"])
        self.refused("serve", "--prot", "1", says=["unknown option", "--prot", "help serve"])
        self.refused("--prot", says=["--prot"])
        self.refused("check", "stray", says=["stray"])
        self.refused("logits", "--port", "1", says=["--port", "help logits"])
        self.refused("version", "--port", "1", says=["--port"])
        self.refused("--port", says=["--port", "expected a value"])

    def test_impossible_values_name_the_source(self):
        self.refused("--port", "70000", says=["port", "--port", "65535", "70000"])
        self.refused(env={"SSMD_PORT": "x"}, says=["SSMD_PORT", "an integer"])
        path = self.text_file('{"drain_timeout": -1}')
        self.refused("--config", path, says=["drain_timeout", path, "-1"])
        path = self.text_file('{"prot": 1}')
        self.refused(env={"SSMD_CONFIG": path}, says=["unknown key", "prot", path])

    def test_print_config(self):
        path = self.text_file('{"port": 1, "max_seqs": 2, "queue_limit": 3, "api_key": "xyzzy"}')
        env = {"SSMD_CONFIG": path, "SSMD_MAX_SEQS": "4", "SSMD_QUEUE_LIMIT": "5"}
        text = self.accepted("--print-config", "--queue-limit", "6", env=env)
        found = json.loads(text)
        self.assertEqual((found["port"], found["max_seqs"], found["queue_limit"]), (1, 4, 6))
        self.assertNotIn("xyzzy", text)
        self.assertEqual(set(found), set(json.loads(
            (program.ROOT / "configs/default.json").read_text())))

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            self.assertEqual(program.run("--help", stdout=full).returncode, 1)
            self.assertEqual(program.run("check", "--model", self.folder(TINY).path,
                                         stdout=full).returncode, 1)


class PlaceTest(CliCase):
    """Without --model: the model of the checkout or installation that the program stands in."""

    def found(self, program_path, model_path):
        with tempfile.TemporaryDirectory() as top:
            there = pathlib.Path(os.path.realpath(top))
            for path in (there / program_path, there / model_path):
                path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(program.args.ssmd, there / program_path)
            (there / model_path).mkdir()
            (there / model_path / "config.json").write_text("{}")
            done = subprocess.run([str(there / program_path), "--print-config"], cwd="/",
                                  stdout=subprocess.PIPE, check=True, timeout=program.LIMIT)
            config = json.loads(done.stdout)
            self.assertEqual(config["model"], str(there / model_path))
            self.assertEqual(config["served_name"], ["default"])

    def test_checkout(self):
        self.found("build/ssmd", "models/default")
        self.found("build/test/ssmd", "models/default")

    def test_installation(self):
        self.found("bin/ssmd", "share/ssmd/models/default")


class CheckTest(CliCase):
    def test_the_given_model(self):
        if not os.path.isfile(os.path.join(program.args.model, "config.json")):
            self.skipTest("no embedded model")
        self.assertIn("memory", self.accepted("check", "--model", program.args.model))

    def test_the_chat_template(self):
        """Where it comes from and how calls are written; the model's own may be missing."""
        for flags, line in ((["--chat-template", "chatml"], "chatml, tool calls: hermes"),
                            (["--chat-template", "chatml", "--tool-format", "lfm2"],
                             "chatml, tool calls: lfm2"),
                            ([], "this model has no chat template: neither")):
            text = self.accepted("check", "--model", self.folder(TINY).path, *flags)
            self.assertRegex(text, "(?m)^chat +" + line)

    def test_a_broken_chat_template(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "own.jinja")
            with open(path, "w", encoding="utf-8") as f:
                f.write("{{ bos_token }}\n{% for %}")
            self.refused("check", "--model", self.folder(TINY).path, "--chat-template", path,
                         says=["own.jinja", "line 2"])
        self.refused("serve", "--port", "0", "--template-time", "yesterday",
                     says=["template_time", "yesterday"])

    def test_a_good_model(self):
        text = self.accepted("check", "--model", self.folder(TINY).path)
        for word in ("llama", "parameters", "97 ids", "context", "memory"):
            self.assertIn(word, text)

    def row(self, text, label):
        """The line of this label, without it."""
        lines = [line[15:] for line in text.splitlines() if line[:15].rstrip() == label]
        self.assertEqual(len(lines), 1, text)
        return lines[0]

    def test_sizes_are_what_is_held(self):
        if not os.path.isfile(os.path.join(program.args.model, "config.json")):
            self.skipTest("no embedded model")
        told = self.accepted("check", "--sizes", "--model", program.args.model)
        formats = dict(part.split(" ", 1) for part in self.row(told, "formats").split(", "))
        self.assertEqual(list(formats), ["f32", "bf16", "q8", "q4"])
        for weights, bytes_ in formats.items():
            text = self.accepted("check", "--weights", weights, "--model", program.args.model)
            self.assertIn(f", {bytes_} in memory (", self.row(text, "weights"))
            self.assertEqual(self.row(text, "formats"), self.row(told, "formats"))
            slots = re.fullmatch(r"\d+ of (\d+) bytes: .*", self.row(text, "slots"))
            self.assertTrue(self.row(told, "state").startswith(f"{slots[1]} bytes a sequence"))

    def test_a_quantised_model_has_one_format(self):
        with tempfile.TemporaryDirectory() as parent:
            out = pathlib.Path(parent, "q8")
            self.accepted("quantize", TINY, out, "--weights", "q8")
            text = self.accepted("check", "--sizes", "--model", out)
            self.assertRegex(self.row(text, "formats"), r"^q8 [\d.]+ MiB, q4 [\d.]+ MiB$")

    def shape(self, **keys):
        return self.text_file(json.dumps({
            "model_type": "llama", "vocab_size": 100000, "hidden_size": 8192,
            "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
            "num_key_value_heads": 8, "max_position_embeddings": 1024, **keys}))

    def test_tensors_left_out_are_counted(self):
        text = self.accepted("check", "--sizes", "--model", GOLDEN / "qwen3_5-vision")
        self.assertRegex(self.row(text, "left out"), r"^\d+ tensors of the files, [\d.]+ MiB$")

    def test_sizes_of_a_shape_larger_than_the_machine(self):
        text = self.accepted("check", "--sizes", "--shape", self.shape())
        self.assertEqual(self.row(text, "layers"),
                         "80 of attention, feed-forward; 8192 bytes of K/V a token")
        layer = 8192 * (2 * 8192 + 2 * 1024 + 3 * 28672) + 2 * 8192
        n_params = 80 * layer + 2 * 100000 * 8192 + 8192
        self.assertEqual(self.row(text, "parameters"),
                         f"{n_params / 1e6:.2f} million, a vocabulary of 100000 ids")
        self.assertIn("K/V            f32: 655360 bytes a token, 640.0 MiB for 1024 tokens\n", text)
        self.assertIn("               f16: 327680 bytes a token, 320.0 MiB for 1024 tokens\n", text)
        self.refused("check", "--shape", self.shape(), "--max-seqs", "0", says=["max_seqs"])

    def test_sizes_refuse_what_opening_refuses(self):
        self.refused("check", "--sizes", "--shape", self.shape(hidden_size=8191),
                     says=["hidden_size", "8191"])
        wrong = self.folder(TINY, hidden_size=12)
        self.refused("check", "--sizes", "--model", wrong.path, says=["expected", "found"])

    def test_the_configuration_is_checked_too(self):
        self.refused("check", "--max-seqs", "0", says=["max_seqs"])

    def test_bad_models(self):
        self.refused("check", "--model", "/nonexistent", says=["/nonexistent"])
        no_weights = tempfile.TemporaryDirectory()
        self.addCleanup(no_weights.cleanup)
        pathlib.Path(no_weights.name, "config.json").write_text(
            (TINY / "config.json").read_text())
        self.refused("check", "--model", no_weights.name, says=[no_weights.name])
        odd = self.folder(TINY, model_type="mystery")
        self.refused("check", "--model", odd.path, says=["mystery"])
        wrong = self.folder(TINY, hidden_size=12)
        self.refused("check", "--model", wrong.path, says=["expected", "found"])
        broken = self.folder(TINY)
        broken.write("config.json", '{"model_type": ')
        self.refused("check", "--model", broken.path, says=["config.json", "line 1"])
        broken = self.folder(TINY)
        broken.write("tokenizer.json", "[]")
        self.refused("check", "--model", broken.path, says=["tokenizer.json"])
        self.refused("check", "--model", TINY, says=["tokenizer.json"])

    def test_what_is_given_instead_of_a_folder(self):
        """Every command says it in the same words, exit status 2."""
        with tempfile.TemporaryDirectory() as there:
            gguf = pathlib.Path(there, "model.gguf")
            gguf.write_bytes(b"GGUF\x03\0\0\0")
            text = pathlib.Path(there, "text")
            text.write_text("a text")
            for model, says in ((gguf, "a GGUF file"), ("org/name", "does not download")):
                given = [str(model), says]
                for words in (["check"], ["perplexity", text],
                              ["logits", "--ids", "1", "--greedy", "1"]):
                    with self.subTest(command=words[0], model=model):
                        self.refused(*words, "--model", model, says=given)
                done = program.run("serve", "--port", "0", "--model", model)
                self.assertEqual(done.returncode, 2)
                for part in given:  # among lines of the log
                    self.assertIn(part, done.stderr.decode())
                out = pathlib.Path(there, "out")
                self.refused("quantize", model, out, "--weights", "q8", says=given)
                self.assertFalse(out.exists())

    def test_a_model_of_another_kind(self):
        for kind in ("mamba", "jamba"):
            other = self.folder(TINY)
            other.write("config.json", json.dumps({"model_type": kind}))
            self.refused("check", "--model", other.path,
                         says=["model_type", f'"{kind}"', "TransXSSM, pha, llama, "])

    def test_a_budget_that_holds_no_body(self):
        words = ("--model", self.folder(TINY).path, "--request-bytes", "1MiB")
        self.refused("check", *words, says=["request_bytes", "max_body_bytes (4194304)", "1048576"])
        done = program.run("serve", "--port", "0", *words)
        self.assertEqual(done.returncode, 2)
        self.assertIn("request_bytes", done.stderr.decode())
        self.accepted("check", *words, "--max-body-bytes", "10000")
        self.refused("check", "--model", self.folder(TINY).path, "--max-body-bytes", "1GiB",
                     says=["request_bytes"])

    def test_requests_that_leave_no_room_for_an_engine(self):
        self.refused("check", "--model", self.folder(TINY).path, "--request-bytes", "32TiB",
                     says=["memory plan", "33554560 for requests", "request_bytes"])

    def test_an_engine_that_cannot_be(self):
        self.refused("check", "--model", self.folder(TINY).path, "--memory-bytes", "1",
                     says=["memory"])


class LogitsTest(CliCase):
    def logits(self, *words):
        with tempfile.NamedTemporaryFile() as out:
            text = self.accepted("logits", "--model", TINY, "--out", out.name, *words)
            values = array.array("f")
            values.frombytes(pathlib.Path(out.name).read_bytes())
        return text, values

    def test_shape_and_silence(self):
        text, values = self.logits("--ids", "1,2,3,4,5")
        self.assertEqual(text, "")
        self.assertEqual(len(values), 5 * 97)

    def test_greedy_is_the_argmax_step_by_step(self):
        text, _ = self.logits("--ids", "5,6", "--greedy", "6")
        found = json.loads(text)
        self.assertEqual(text.count("\n"), 1)
        ids = [5, 6]
        for expected in found:
            _, values = self.logits("--ids", ",".join(map(str, ids)))
            row = values[-97:]
            self.assertEqual(expected, row.index(max(row)))
            ids.append(expected)
        self.assertEqual(json.loads(self.logits("--ids", "5", "--greedy", "0")[0]), [])

    def test_greedy_does_not_stop_at_an_end_token(self):
        first = json.loads(self.logits("--ids", "5,6", "--greedy", "8")[0])
        folder = self.folder(TINY, eos_token_id=first[1])
        text = self.accepted("logits", "--model", folder.path, "--ids", "5,6", "--greedy", "8")
        self.assertEqual(json.loads(text), first)

    def test_a_context_too_short_is_told_before_a_file_is_touched(self):
        with tempfile.NamedTemporaryFile() as out:
            out.write(b"kept")
            out.flush()
            self.refused("logits", "--model", TINY, "--out", out.name, "--ids", "1,2",
                         "--context", "3", "--greedy", "3", says=["3", "4"])
            self.assertEqual(pathlib.Path(out.name).read_bytes(), b"kept")
            self.accepted("logits", "--model", TINY, "--out", out.name, "--ids", "1,2",
                          "--context", "3", "--greedy", "2")

    def test_refusals(self):
        common = ["logits", "--model", TINY, "--out", "/dev/null"]
        self.refused(*common, says=["--ids"])
        self.refused("logits", "--model", TINY, "--ids", "1", says=["--out"])
        self.refused(*common, "--ids", "1,x", says=["--ids", "x"])
        self.refused(*common, "--ids", "", says=["--ids"])
        self.refused(*common, "--ids", "-1", says=["--ids", "-1"])
        self.refused(*common, "--ids", "1,97", says=["97", "vocabulary"])
        self.refused(*common, "--ids", "1,2,3", "--split", "1,1", says=["--split", "3", "2"])
        self.refused(*common, "--ids", "1,2,3", "--split", "3,0", says=["--split"])
        self.refused(*common, "--ids", "1", "--greedy", "x", says=["--greedy", "x"])
        self.refused(*common, "--ids", "1", "--cpu", "sse", says=["cpu", "sse"])
        self.refused(*common, "--ids", "1,2,3", "--context", "2", says=["2", "3"])
        self.refused("logits", "--model", TINY, "--ids", "1", "--out", "/nonexistent/x",
                     says=["/nonexistent/x"])
        self.refused("logits", "--model", TINY, "--ids", "1", "--out", "/dev/full", code=1,
                     says=["No space"])


def row_nats(row, target):
    top = max(row)
    return math.log(math.fsum(math.exp(x - top) for x in row)) + top - row[target]


class PerplexityTest(CliCase):
    def score(self, folder, ids, bos, window):
        """(tokens, nats) by the definition, from `ssmd logits`."""
        tokens, nats = 0, []
        for at in range(0, len(ids), window):
            piece = ids[at:at + window]
            given = ([bos] if bos is not None else []) + piece
            targets = piece if bos is not None else piece[1:]
            if not targets:
                continue
            with tempfile.NamedTemporaryFile() as out:
                self.accepted("logits", "--model", folder, "--out", out.name, "--ids",
                              ",".join(map(str, given[:len(targets)])))
                values = array.array("f")
                values.frombytes(pathlib.Path(out.name).read_bytes())
            vocab = len(values) // len(targets)
            for t, target in enumerate(targets):
                nats.append(row_nats(values[t * vocab:(t + 1) * vocab], target))
            tokens += len(targets)
        return tokens, math.fsum(nats)

    def encode(self, text):
        letters = LETTERS + "\n"
        pieces = text.split("<end>")
        ids = []
        for i, piece in enumerate(pieces):
            ids += ([2] if i else []) + [letters.index(c) + 3 for c in piece]
        return ids

    def compare(self, text, bos, context, *more):
        folder = self.folder(TINY, bos_token_id=Ellipsis if bos is None else bos)
        out = self.accepted("perplexity", "--model", folder.path, "--context", context, "--json",
                            self.text_file(text), *more)
        found = json.loads(out)
        tokens, nats = self.score(folder.path, self.encode(text), bos, context)
        words = len(text.split()) + text.count("\n")
        self.assertEqual(list(found), ["tokens", "nats", "nats_per_token", "ppl_per_token",
                                       "ppl_per_word", "bits_per_byte"])
        self.assertEqual(found["tokens"], tokens)
        wanted = {"nats": nats, "nats_per_token": nats / tokens,
                  "ppl_per_token": math.exp(nats / tokens), "ppl_per_word": math.exp(nats / words),
                  "bits_per_byte": nats / math.log(2) / len(text.encode())}
        for name, value in wanted.items():
            self.assertAlmostEqual(found[name] / value, 1, delta=1e-6, msg=name)
        return found

    def test_definition(self):
        rng = random.Random(1)
        text = "".join(rng.choice(LETTERS) for _ in range(100)) + "\nand on.\n\n"
        for bos in (None, 1):
            for context in (1 if bos else 2, 7, 64, 96):
                with self.subTest(bos=bos, context=context):
                    self.compare(text, bos, context)

    def test_added_tokens_in_the_text_are_ids(self):
        self.assertEqual(self.compare("a<end>b", 1, 16)["tokens"], 3)

    def test_a_window_of_one_without_begin_id_scores_nothing(self):
        found = self.compare("abcde", None, 4)  # windows abcd and e: three scored
        self.assertEqual(found["tokens"], 3)

    def test_threads_and_kernels_change_no_digit(self):
        text = self.text_file("some text to score, twice.\n" * 3)
        folder = self.folder(TINY, bos_token_id=1)
        common = ["perplexity", "--model", folder.path, "--json", text]
        base = self.accepted(*common)
        for more in (["--threads", "1"], ["--threads", "3"], ["--cpu", "c"], ["--step-rows", "5"]):
            self.assertEqual(self.accepted(*common, *more), base)
        blas = json.loads(self.accepted(*common, "--math", "blas"))
        self.assertAlmostEqual(blas["nats"] / json.loads(base)["nats"], 1, delta=1e-4)

    def test_table_and_stderr(self):
        folder = self.folder(TINY)
        done = program.run("perplexity", "--model", folder.path, self.text_file("abc def\n"))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, b"")
        for label in ("tokens", "nats", "perplexity per word", "bits per byte"):
            self.assertRegex(done.stdout.decode(), rf"(?m)^{label} +\d")

    def test_refusals(self):
        folder = self.folder(TINY).path
        self.refused("perplexity", "--model", folder, says=["text file"])
        self.refused("perplexity", "--model", folder, "a", "b", says=["\"b\""])
        self.refused("perplexity", "--model", folder, "/nonexistent", says=["/nonexistent"])
        self.refused("perplexity", "--model", folder, self.text_file(""), says=["token"])
        self.refused("perplexity", "--model", "/nonexistent", self.text_file("a"),
                     says=["/nonexistent"])
        self.refused("perplexity", "--model", TINY, self.text_file("a"), says=["tokenizer"])


class SignalTest(CliCase):
    def test_a_closed_pipe_is_an_exit_code_and_no_signal(self):
        child = subprocess.Popen([program.args.ssmd, "logits", "--model", str(TINY), "--ids",
                                  "1,2,3", "--out", "/dev/stdout"], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        child.stdout.close()
        self.assertNotEqual(child.wait(program.LIMIT), -signal.SIGPIPE)


if __name__ == "__main__":
    program.main()
