// SPDX-License-Identifier: Apache-2.0
// What the stand-in engine says to the clients, the tool that it calls, and the server's flags:
// ChatML as the template, calls in the form of Hermes, reasoning in <think>.
export const FLAGS = ["--chat-template", "chatml", "--tool-format", "hermes", "--context", 8192];

export const HELLO = "Hello é 日本 😀.";
export const THOUGHT = "I must look.";
export const REPORT = "It is sunny in Paris.";
export const CITY = {
  type: "object",
  properties: { city: { type: "string", description: "Its name" } },
  required: ["city"],
  additionalProperties: false,
};

// What the tool answers, on which the script's next step depends.
export const weather = ({ city }) => `${city}: sunny, 21 degrees`;

const call = (city) =>
  `<tool_call>\n{"name": "get_weather", "arguments": {"city": "${city}"}}\n</tool_call>\n`;

export const ANSWERS = [
  { say: HELLO },
  { when: "Think", say: `<think>${THOUGHT}</think>${HELLO}` },
  { when: "weather in Paris?", say: `<think>${THOUGHT}</think>Let me look. ${call("Paris")}` },
  { when: "Paris: sunny", say: REPORT },
  { when: "two cities?", say: `${call("Paris")}${call("Köln")}` },
  { when: "Köln: sunny", say: "Both are sunny." },
  { when: "step by step?", say: call("Rome") },
  { when: "Rome: sunny", say: call("Oslo") },
  { when: "Oslo: sunny", say: "Two steps." },
  { when: "Write long", say: "word ".repeat(400) },
];
