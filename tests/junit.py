# SPDX-License-Identifier: Apache-2.0
"""JUnit XML of a run: a suite a program, a case a test, with the output of what failed.

Names come from what cmocka and unittest print. Where a program says only how many passed and
failed, its cases are numbered; the counts are always those that the runner prints.
"""
import itertools
import re
import xml.etree.ElementTree as xml

CMOCKA = re.compile(r"^\[ +(OK|FAILED) +\] (\w+)$", re.M)
UNITTEST = re.compile(r"^(test\w*) \(([\w.]+)\)", re.M)
UNITTEST_FAILED = re.compile(r"^(?:FAIL|ERROR): (test\w*) \(", re.M)
UNITTEST_SKIPPED = re.compile(r"^(test\w*) \([\w.]+\)(?:\n[^\n]*)? \.\.\. skipped", re.M)
NO_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def names(text):
    """(names of tests that passed, names of those that failed), as far as the output has them."""
    failed = {name for state, name in CMOCKA.findall(text) if state == "FAILED"}
    failed |= set(UNITTEST_FAILED.findall(text))
    skipped = set(UNITTEST_SKIPPED.findall(text))
    found = [name for _, name in CMOCKA.findall(text)]
    found += [name for name, _ in UNITTEST.findall(text)]
    passed = [n for n in dict.fromkeys(found) if n not in failed and n not in skipped]
    return passed, sorted(failed)


def fill(given, count, word):
    """Exactly count names: the given ones, then numbered ones."""
    more = (f"{word} {i}" for i in itertools.count(1))
    return list(itertools.islice(itertools.chain(given, more), count))


def suite_of(result):
    passed, failed = names(result.text)
    suite = xml.Element("testsuite", name=result.name, tests=str(result.passed + result.failed),
                        failures=str(result.failed), time=f"{result.seconds:.3f}")
    for name in fill(passed, result.passed, "passed"):
        xml.SubElement(suite, "testcase", classname=result.name, name=name)
    for name in fill(failed, result.failed, "failed"):
        case = xml.SubElement(suite, "testcase", classname=result.name, name=name)
        why = xml.SubElement(case, "failure", message=result.wrong or "failed")
        why.text = NO_XML.sub("?", result.text)
    return suite


def write(path, results):
    """Writes the results, which have name, passed, failed, wrong, seconds and text."""
    root = xml.Element("testsuites", tests=str(sum(r.passed + r.failed for r in results)),
                       failures=str(sum(r.failed for r in results)))
    root.extend(suite_of(r) for r in results)
    xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
