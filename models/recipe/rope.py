# SPDX-License-Identifier: Apache-2.0
"""Rotary position tables (arXiv 2104.09864) with the scalings found in checkpoints.

One table is made when a model is opened and never changes: a recurrent state holds
keys that were rotated by it and cannot be rotated again. Angles are float64, because
float32 angles lose the relative-position property near position 100,000; cos and sin
are rounded to float32, which is what an engine stores.
"""
import math

import torch

from config import ConfigError, is_number

OPTIONAL = object()
# Fields beside the type and rope_theta; o = original_max_position_embeddings.
FIELDS = {
    "default": {},
    "linear": {"factor": None},
    "dynamic": {"factor": None, "original_max_position_embeddings": OPTIONAL},
    "llama3": {"factor": None, "low_freq_factor": None, "high_freq_factor": None,
               "original_max_position_embeddings": OPTIONAL},
    "yarn": {"factor": None, "original_max_position_embeddings": OPTIONAL,
             "beta_fast": OPTIONAL, "beta_slow": OPTIONAL, "attention_factor": OPTIONAL},
    "longrope": {"long_factor": None, "short_factor": None, "attention_factor": OPTIONAL,
                 "original_max_position_embeddings": OPTIONAL},
}


class Rope:
    """inv: [d/2] float64 inverse frequencies; factor multiplies cos and sin."""

    def __init__(self, inv, factor=1.0):
        self.inv, self.factor = inv, factor

    def rotate(self, x, positions):
        """x [T,heads,d], positions [T]; dimension i pairs with i + d/2."""
        angle = positions.to(torch.float64)[:, None] * self.inv.to(x.device)
        cos = (angle.cos() * self.factor).float().to(x.dtype)[:, None]
        sin = (angle.sin() * self.factor).float().to(x.dtype)[:, None]
        low, high = x.chunk(2, dim=-1)
        return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


def make_rope(config, width, served, with_factor=True):
    """The table for heads of `width`, for a served context of `served` tokens."""
    kind, theta, given = read_scaling(config)
    if width % 2:
        raise ConfigError(f"rotary width: expected an even number, found {width}")
    plain = torch.arange(0, width, 2, dtype=torch.float64) / width
    scale = Scaling(config, width, max(served, config.max_position_embeddings), theta, given)
    inv, factor = getattr(scale, kind)(theta ** -plain)
    return Rope(inv, factor if with_factor else 1.0)


def read_scaling(config):
    """(type, theta, other fields); rope_parameters' rope_theta wins over the config's."""
    if config.rope_scaling and config.rope_parameters:
        raise ConfigError("rope_scaling: given beside rope_parameters")
    name = "rope_parameters" if config.rope_parameters else "rope_scaling"
    given = dict(config.rope_parameters or config.rope_scaling or {})
    old_kind = given.pop("type", "default")
    kind = given.pop("rope_type", old_kind)
    theta = given.pop("rope_theta", config.rope_theta)
    if given.pop("partial_rotary_factor", 1) != 1:
        raise ConfigError(f"{name}.partial_rotary_factor: expected 1")
    if kind not in FIELDS:
        raise ConfigError(f"{name}.rope_type: expected one of {list(FIELDS)}, found {kind!r}")
    for key in given:
        if key not in FIELDS[kind]:
            raise ConfigError(f"{name}.{key}: unknown field for rope_type {kind!r}")
    for key, need in FIELDS[kind].items():
        if need is None and given.get(key) is None:
            raise ConfigError(f"{name}.{key}: required by rope_type {kind!r}")
        if not key.endswith(("long_factor", "short_factor")) and given.get(key) is not None \
                and not is_number(given[key]):
            raise ConfigError(f"{name}.{key}: expected a number, found {given[key]!r}")
    return kind, theta, given


class Scaling:
    """One method a type: plain inverse frequencies -> (inverse frequencies, factor)."""

    def __init__(self, config, width, n, theta, given):
        self.width, self.n, self.theta, self.given = width, n, theta, given
        self.m = config.max_position_embeddings
        self.o = given.get("original_max_position_embeddings") or self.m
        self.f = given.get("factor")

    def default(self, inv):
        return inv, 1.0

    def linear(self, inv):
        return inv / self.f, 1.0

    def dynamic(self, inv):
        d = self.width
        theta = self.theta * (self.f * self.n / self.m - (self.f - 1)) ** (d / (d - 2))
        return theta ** -(torch.arange(0, d, 2, dtype=torch.float64) / d), 1.0

    def llama3(self, inv):
        low, high = self.given["low_freq_factor"], self.given["high_freq_factor"]
        wavelength = 2 * math.pi / inv
        s = (self.o / wavelength - low) / (high - low)
        mixed = (1 - s) * inv / self.f + s * inv
        mixed = torch.where(wavelength > self.o / low, inv / self.f, mixed)
        return torch.where(wavelength < self.o / high, inv, mixed), 1.0

    def yarn(self, inv):
        """arXiv 2309.00071, section 3.2 (NTK-by-parts) and 3.4 (attention factor)."""
        lo = max(math.floor(self.dimension_of(self.given.get("beta_fast") or 32)), 0)
        hi = min(math.ceil(self.dimension_of(self.given.get("beta_slow") or 1)),
                 self.width - 1)
        # A ramp of no width would divide by zero; it becomes a step.
        span = hi - lo if hi != lo else 0.001
        ramp = ((torch.arange(len(inv), dtype=torch.float64) - lo) / span).clamp(0, 1)
        factor = self.given.get("attention_factor") or 0.1 * math.log(self.f) + 1
        return inv / self.f * ramp + inv * (1 - ramp), factor

    def dimension_of(self, rotations):
        return self.width * math.log(self.o / (2 * math.pi * rotations)) \
            / (2 * math.log(self.theta))

    def longrope(self, inv):
        """arXiv 2402.13753."""
        name = "long_factor" if self.n > self.o else "short_factor"
        ext = self.given[name]
        if not isinstance(ext, list) or len(ext) != len(inv):
            raise ConfigError(f"{name}: expected a list of {len(inv)}, found {ext!r}")
        factor = self.given.get("attention_factor")
        if factor is None:
            growth = math.log(self.m / self.o) / math.log(self.o)
            factor = math.sqrt(1 + growth) if self.m > self.o else 1.0
        return inv / torch.tensor(ext, dtype=torch.float64), factor
