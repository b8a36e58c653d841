# SPDX-License-Identifier: Apache-2.0
"""What things are called: several names of one model, routes without /v1, chat sent elsewhere."""
import json
import unittest

import wire


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon("--served-name", "one,org/two")

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def test_every_name_is_listed_and_answers_as_asked(self):
        listed = json.loads(self.d.call("GET", "/v1/models")[2])["data"]
        self.assertEqual([m["id"] for m in listed], ["one", "org/two"])
        for model in listed:
            self.assertEqual(json.loads(self.d.call("GET", "/v1/models/" + model["id"])[2]), model)
        for asked, said in (({}, "one"), ({"model": "one"}, "one"), ({"model": "org/two"}, "org/two")):
            status, _, answer = self.d.complete(**asked)
            self.assertEqual((status, answer["model"]), (200, said))
            data, _ = wire.dechunk(wire.read_all_from(self.d.open_stream(max_tokens=2, **asked)))
            self.assertEqual({json.loads(x)["model"] for x in wire.sse(data)[:-1]}, {said})
        status, _, answer = self.d.complete(model="org/tw")
        self.assertEqual((status, answer["error"]["code"]), (404, "model_not_found"))
        info = [x for x in self.d.metrics() if x.startswith("ssmd_model_info")]
        self.assertEqual(len(info), 1)
        self.assertIn('model="one"', info[0])

    def test_a_base_url_without_v1(self):
        """The same answers, and the same route in metrics and log."""
        name = 'ssmd_http_requests_total{route="%s",code="200"}'
        routes = ["/v1/completions", "/v1/models", "/v1/models/{id}"]
        before = self.d.metrics()
        self.assertFalse([x for x in before if 'route="/models' in x or 'route="/compl' in x])
        body = {"prompt": "a", "max_tokens": 2, "temperature": 0, "ignore_eos": True}
        answers = [json.loads(self.d.call("POST", path, body)[2])
                   for path in ("/completions", "/v1/completions")]
        self.assertEqual(answers[0]["choices"], answers[1]["choices"])
        for path in ("/models", "/models/org%2Ftwo", "/models/org/two"):
            self.assertEqual(self.d.call("GET", path)[2], self.d.call("GET", "/v1" + path)[2])
        after = self.d.metrics()
        self.assertEqual([after[name % r] - before[name % r] for r in routes], [2, 2, 4])
        self.assertEqual(self.d.call("GET", "/completions")[1]["allow"], "POST, OPTIONS")
        self.assertEqual(self.d.call("GET", "/states")[0], 404)

    def test_messages_name_their_route(self):
        for more in ({}, {"prompt": "a"}):
            status, _, data = self.d.call("POST", "/v1/completions", {
                "messages": [{"role": "user", "content": "hi"}], **more})
            error = json.loads(data)["error"]
            self.assertEqual((status, error["param"]), (400, "messages"))
            self.assertIn("/v1/chat/completions", error["message"])


if __name__ == "__main__":
    wire.main()
