# SPDX-License-Identifier: Apache-2.0
"""Real chat templates, as published packages carry them: nothing of them is in this tree.

Two npm packages, both MIT, of fixed versions: @huggingface/ollama-utils (package.json) has a
table of models with their templates; node-llama-cpp (bundle.sh) has the source of llama.cpp,
with models/templates. A template keeps the licence of its model.
"""
import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
TABLE = MODULES / "@huggingface/ollama-utils/src/chat-template-automap.ts"
FOLDER = MODULES / "llama.cpp"
# The table is one JavaScript literal.
READ_TABLE = """
const text = require('fs').readFileSync(process.argv[1], 'utf8');
const rows = Function('return ' + text.slice(text.indexOf('[] = ') + 5))();
console.log(JSON.stringify(rows.map((row) => [row.model.replace('library/', ''), row.gguf])));
"""


def of_table():
    done = subprocess.run(["node", "-e", READ_TABLE, str(TABLE)], check=True,
                          capture_output=True, text=True)
    return [(f"ollama/{model}", text) for model, text in json.loads(done.stdout)]


def of_folder(folder):
    folder = pathlib.Path(folder)
    return [(f"{folder.name}/{p.stem}", p.read_text(encoding="utf-8"))
            for p in sorted(folder.glob("*.jinja"))]


def load(more=()):
    """(name, source) of every different template."""
    seen = {}
    for name, text in of_folder(FOLDER) + of_table() + [t for f in more for t in of_folder(f)]:
        seen.setdefault(text, name)
    return [(name, text) for text, name in seen.items()]
