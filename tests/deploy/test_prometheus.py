# SPDX-License-Identifier: Apache-2.0
"""The real Prometheus with the shipped configuration scrapes three daemons and the balancer;
its rules are sound, and rules and dashboard name only metrics that the daemon exports.

    python3 tests/deploy/test_prometheus.py --ssmd build/ssmd --model models/default
"""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse

import replicas as lib

N_TOKENS = 12

replicas = []
balancer = None
prometheus = None
METRIC = re.compile(r"\b(?:ssmd|process)_[a-z_]+")


class Prometheus:
    """Prometheus on a copy of deploy/prometheus in which only targets/ is rewritten."""

    def __init__(self, targets):
        self.folder = tempfile.TemporaryDirectory()
        unittest.addModuleCleanup(self.folder.cleanup)
        here = pathlib.Path(self.folder.name)
        shutil.copytree(lib.DEPLOY / "prometheus", here / "config")
        for job, ports in targets.items():
            file = here / "config" / "targets" / f"{job}.yml"
            assert file.exists(), file
            file.write_text(json.dumps([{"targets": [f"{lib.HOST}:{p}" for p in ports]}]))
        self.port = lib.free_port()
        process = lib.Process(["prometheus", f"--config.file={here}/config/prometheus.yml",
                               f"--storage.tsdb.path={here}/data",
                               f"--web.listen-address={lib.HOST}:{self.port}"])
        unittest.addModuleCleanup(process.stop)
        process.wait_ready(self.port, "/-/ready")

    def ask(self, path, **query):
        answer = lib.get(self.port, f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        body = answer.json()
        if body["status"] != "success":
            raise AssertionError(f"{path} {query}: {body}")
        return body["data"]

    def value(self, expression):
        """The single value of an instant query; None while there is none."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None


def setUpModule():
    global balancer, prometheus
    replicas[:] = lib.start_replicas()
    balancer = lib.Balancer([r.port for r in replicas])
    answer = lib.post(balancer.port, {"prompt": "The river", "max_tokens": N_TOKENS,
                                      "temperature": 0, "ignore_eos": True})
    assert answer.status == 200, answer.body
    prometheus = Prometheus({"ssmd": [r.port for r in replicas],
                             "balancer": [balancer.admin_port]})


def dashboard_expressions():
    board = json.loads((lib.DEPLOY / "grafana" / "ssmd.json").read_text())
    return [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]


class Files(unittest.TestCase):
    def promtool(self, *args, given=None):
        done = subprocess.run(["promtool", *map(str, args)], input=given, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        return done.stdout.decode()

    def test_configuration(self):
        self.promtool("check", "config", lib.DEPLOY / "prometheus" / "prometheus.yml")

    def test_rules(self):
        self.promtool("check", "rules", "--lint-fatal", lib.DEPLOY / "prometheus" / "rules.yml")

    def test_each_alert_fires_where_it_should(self):
        self.promtool("test", "rules", pathlib.Path(__file__).parent / "alerts_test.yml")

    def test_exposition_of_a_daemon(self):
        text = lib.get(replicas[0].port, "/metrics").body
        self.assertEqual(self.promtool("check", "metrics", given=text), "")

    def test_named_metrics_are_exported(self):
        text = lib.get(replicas[0].port, "/metrics").body.decode()
        exported = {re.split(r"[{ ]", line)[0] for line in text.splitlines()
                    if line and not line.startswith("#")}
        sources = {"rules.yml": (lib.DEPLOY / "prometheus" / "rules.yml").read_text(),
                   "ssmd.json": "\n".join(dashboard_expressions())}
        for file, source in sources.items():
            missing = set(METRIC.findall(source)) - exported
            self.assertEqual(missing, set(), file)


class Scraping(unittest.TestCase):
    def reaches(self, expression, value, seconds=20):
        lib.wait_for(f"{expression} to be {value}",
                     lambda: prometheus.value(expression) == value, seconds)

    def test_all_are_up(self):
        self.reaches('sum(up{job="ssmd"})', 3)
        self.reaches('sum(up{job="balancer"})', 1)

    def test_values_arrive(self):
        self.reaches('sum(ssmd_ready{job="ssmd"})', 3)
        self.reaches('sum(ssmd_generation_tokens_total{job="ssmd"})', N_TOKENS)
        for backend in ("ssmd", "ssmd-sessions", "ssmd-crowd"):
            self.reaches(f'count(haproxy_server_status{{proxy="{backend}", state="UP"}} == 1)', 3)

    def test_rules_evaluate_and_are_silent(self):
        self.reaches('sum(ssmd_ready{job="ssmd"})', 3)

        def evaluated():
            rules = [r for g in prometheus.ask("rules")["groups"] for r in g["rules"]]
            return rules if rules and all(r["health"] != "unknown" for r in rules) else None

        for rule in lib.wait_for("all rules to be evaluated", evaluated, 20):
            self.assertEqual(rule["health"], "ok", rule)
            self.assertNotEqual(rule["state"], "firing", rule)

    def test_dashboard_expressions_evaluate(self):
        self.reaches('sum(ssmd_ready{job="ssmd"})', 3)
        for expression in dashboard_expressions():
            with self.subTest(expression=expression):
                prometheus.ask("query", query=expression.replace("$__rate_interval", "1m")
                               .replace("$instance", ".*"))


if __name__ == "__main__":
    lib.main(__name__)
