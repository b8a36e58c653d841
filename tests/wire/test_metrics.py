# SPDX-License-Identifier: Apache-2.0
"""The Prometheus page: clean, complete from the first scrape, quick under load."""
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

GAUGES = """requests_running requests_waiting cache_usage_ratio cache_config_info kv_pages_used
kv_pages_limit state_slots_used state_slots_limit checkpoint_bytes
checkpoints_used checkpoints_limit checkpoint_interval_tokens ready draining
open_connections stream_buffer_bytes request_bytes_used request_bytes_limit model_info build_info
state_dir_bytes state_dir_objects state_dir_limit_bytes""".split()
COUNTERS = """http_requests_total requests_finished_total requests_rejected_total
prompt_tokens_total prompt_tokens_cached_total generation_tokens_total unknown_fields_total
http_library_refusals_total refused_connections_total
prefix_lost_tokens_total checkpoints_total state_dir_errors_total""".split()
HISTOGRAMS = """time_to_first_token_seconds inter_token_seconds request_seconds queue_seconds
prefill_seconds decode_seconds step_seconds step_rows loop_delay_seconds""".split()


class Metrics(unittest.TestCase):
    def page(self, d):
        status, head, data = d.call("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(head["content-type"].startswith("text/plain; version=0.0.4"))
        return data.decode()

    def promtool(self, text):
        tool = shutil.which("promtool")
        if tool:
            p = subprocess.run([tool, "check", "metrics"], input=text, text=True,
                               capture_output=True)
            self.assertEqual((p.returncode, p.stdout + p.stderr), (0, ""))

    def test_families(self):
        with wire.Daemon() as d:
            first = self.page(d)
            self.promtool(first)
            types = dict(re.findall(r"# TYPE (\S+) (\S+)", first))
            for kind, names in (("gauge", GAUGES), ("counter", COUNTERS),
                                ("histogram", HISTOGRAMS)):
                for name in names:
                    self.assertEqual(types.get("ssmd_" + name), kind, name)
            d.complete(n=2, max_tokens=5)
            d.complete(prompt=5)
            d.call("GET", "/nothing")
            second = self.page(d)
            self.promtool(second)

            def names(text):
                return {line.rsplit(" ", 1)[0] for line in text.splitlines() if line[0] != "#"}
            self.assertEqual(names(first), names(second))
            m = d.metrics()
            self.assertEqual(m["ssmd_generation_tokens_total"], 10)
            self.assertEqual(m['ssmd_requests_finished_total{reason="length"}'], 2)
            self.assertEqual(
                m['ssmd_http_requests_total{route="/v1/completions",code="400"}'], 1)
            self.assertEqual(m['ssmd_http_requests_total{route="other",code="404"}'], 1)
            self.assertEqual(m["ssmd_time_to_first_token_seconds_count"], 1)
            self.assertEqual(m["ssmd_inter_token_seconds_count"], 8)
            self.assertGreater(m["ssmd_step_rows_count"], 0)
            self.assertGreater(m["process_resident_memory_bytes"], 0)

    def test_unknown_fields(self):
        with wire.Daemon() as d:
            d.complete(no_such_field=1, another={})
            self.assertEqual(d.metric("ssmd_unknown_fields_total"), 2)

    def test_alias(self):
        with wire.Daemon("--metrics-alias", "vllm") as d:
            text = self.page(d)
            for name in ("vllm:num_requests_running 0", "vllm:num_requests_waiting 0",
                         "vllm:gpu_cache_usage_perc 0", "vllm:kv_cache_usage_perc 0",
                         "vllm:cache_config_info{block_size="):
                self.assertIn(name, text)

    def test_quick_under_load(self):
        with wire.Daemon(env={"FAKE_STEP_US": "5000"}) as d:
            streams = [d.open_stream(max_tokens=2000, prompt="p%d" % i) for i in range(32)]
            d.wait_metric("ssmd_requests_running", lambda v: v == 32)
            times = []
            for _ in range(50):
                begin = time.monotonic()
                self.page(d)
                times.append(time.monotonic() - begin)
            print("scrape under load: median %.1f ms" % (sorted(times)[25] * 1e3))
            for s in streams:
                s.close()
            d.wait_metric("ssmd_requests_running", lambda v: v == 0)


if __name__ == "__main__":
    wire.main()
