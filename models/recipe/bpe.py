# SPDX-License-Identifier: Apache-2.0
"""Documents, their split, the tokenizer and the token stream of the training run.

  bpe.py fit FOLDER FILE...            trains tokenizer.json on the training documents
  bpe.py encode FOLDER OUT FILE...     OUT/train.u16 and OUT/held.json

FILE is plain text or .xz, documents separated by a line that holds only <|endoftext|>.
Needs the `tokenizers` library. One document in a hundred of each source is held out,
before the tokenizer sees anything.
"""
import json
import lzma
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy

END = "<|endoftext|>"
VOCABULARY = 8192
HELD_EVERY, HELD_AT = 100, 50


def read_documents(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        parts = file.read().split(f"\n{END}\n")
    return [part for part in parts if part.strip()]


def read_all(paths):
    """[(file, training documents, held-out documents)], files read side by side."""
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(read_documents, paths))
    return [(path, [d for i, d in enumerate(documents) if i % HELD_EVERY != HELD_AT],
             documents[HELD_AT::HELD_EVERY]) for path, documents in zip(paths, found)]


def fit(folder, paths):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    documents = [d for _, train, _ in read_all(paths) for d in train]
    tokenizer.train_from_iterator(documents, trainer)
    os.makedirs(folder, exist_ok=True)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    end_id = tokenizer.token_to_id(END)
    write_json(os.path.join(folder, "tokenizer_config.json"), {
        "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False,
        "bos_token": END, "eos_token": END, "model_max_length": 4096,
        "clean_up_tokenization_spaces": False})
    write_json(os.path.join(folder, "generation_config.json"),
               {"bos_token_id": end_id, "eos_token_id": end_id})


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def encode_some(job):
    """(tokenizer file, documents) -> one array of ids a document."""
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(job[0])
    return [numpy.array(tokenizer.encode(d, add_special_tokens=False).ids, numpy.uint16)
            for d in job[1]]


def encode_documents(tokenizer, documents, workers):
    """In parallel, in order: contiguous runs of documents of about equal bytes."""
    limit = sum(map(len, documents)) // (workers * 4) + 1
    runs, size = [[]], 0
    for document in documents:
        if size > limit:
            runs.append([])
            size = 0
        runs[-1].append(document)
        size += len(document)
    with ProcessPoolExecutor(workers) as pool:
        return [ids for run in pool.map(encode_some, [(tokenizer, r) for r in runs])
                for ids in run]


def encode(folder, out, paths):
    """Training documents are shuffled once; each is preceded by the end-of-text id."""
    tokenizer = os.path.join(folder, "tokenizer.json")
    with open(os.path.join(folder, "generation_config.json"), encoding="utf-8") as file:
        end = numpy.array([json.load(file)["eos_token_id"]], numpy.uint16)
    os.makedirs(out, exist_ok=True)
    train, held = [], {}
    for path, kept, out_of in read_all(paths):
        train += kept
        source = os.path.basename(path).split(".")[0].removesuffix("-a").removesuffix("-b")
        held.setdefault(source, []).extend(out_of)
    random.Random(1).shuffle(train)
    workers = os.cpu_count()
    ids = encode_documents(tokenizer, train, workers)
    stream = numpy.concatenate([part for one in ids for part in (end, one)])
    stream.tofile(os.path.join(out, "train.u16"))
    scored = {source: [{"ids": i.tolist(), "bytes": len(d.encode("utf-8"))} for i, d in
                       zip(encode_documents(tokenizer, documents, workers), documents)]
              for source, documents in held.items()}
    with open(os.path.join(out, "held.json"), "w", encoding="utf-8") as file:
        json.dump(scored, file)
    print(f"{len(train)} training documents, {len(stream)} tokens; held out " + ", ".join(
        f"{source} {len(documents)}" for source, documents in held.items()))


def main():
    commands = {"fit": lambda a: fit(a[0], a[1:]), "encode": lambda a: encode(a[0], a[1], a[2:])}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
