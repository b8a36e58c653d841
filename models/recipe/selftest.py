# SPDX-License-Identifier: Apache-2.0
"""reference.py --self-test: both forms of every case agree, and the properties hold."""
import math

import torch

import mixers
from cases import CASES, make_ids, make_tensors
from config import parse_config
from golden import greedy
from reference import build
from trainable import ssd_scan

TOLERANCE = 1e-10  # of float64 forms, relative to the largest logit
SHIFT_TOLERANCE = 1e-4  # cos and sin are float32


def difference(a, b):
    """max |a - b| over max |b|; NaN counts as a disagreement."""
    worst = float((a - b).abs().max() / b.abs().max())
    return worst if worst == worst else math.inf


def make(name, **changes):
    entry = CASES[name]
    tensors = {**make_tensors(entry, 7), **changes}
    return build(parse_config(entry.config), tensors, entry.served), make_ids(entry, 7)


def forms(name):
    model, ids = make(name)
    state = model.start()
    rows = [model.step(token, position, state) for position, token in enumerate(ids)]
    return difference(torch.stack(rows), model.logits(ids))


def shift(name):
    """Relative position code: all positions moved by k leave the output unchanged."""
    model, ids = make(name)
    return max(difference(model.logits(ids, k), model.logits(ids)) for k in (1, 37, 100000))


def layer_of(model, kind):
    for layer in model.layers:
        for part in getattr(layer, "branches", ()):
            mixer = part[1] if isinstance(part, tuple) else part
            if type(mixer) is kind:
                return mixer
    raise LookupError(kind)


def random_rows(length, width):
    return torch.randn(length, width, generator=torch.Generator().manual_seed(3)).double()


def ssd_is_linear_attention():
    """A = 0: Y_t = sum over s <= t of (C_t . B_s) dt_s X_s."""
    ssd = layer_of(make("transxssm-default")[0], mixers.Ssd)
    ssd.decay = torch.zeros_like(ssd.decay)
    u, at = random_rows(41, 30), torch.arange(41)
    c, b, x, dt = ssd.project(u, at)
    rows = [sum((c[t] * b[s]).sum(-1)[:, None] * dt[s][:, None] * x[s] for s in range(t + 1))
            for t in range(41)]
    return difference(ssd.parallel(u, at), ssd.out(torch.stack(rows).flatten(1)))


def ssd_chunked_scan():
    """The training form of the scan (trainable.py) against the reference's."""
    ssd = layer_of(make("transxssm-nstate")[0], mixers.Ssd)
    u, at = random_rows(96, 30), torch.arange(96)
    c, b, x, dt = ssd.project(u, at)
    heads_first = [part.transpose(0, 1)[None] for part in (c, b, x, dt)]
    y = ssd_scan(*heads_first, ssd.decay, chunk=16)[0].transpose(0, 1)
    return difference(ssd.out(y.flatten(1)), ssd.parallel(u, at))


def pha_mix_sums_to_one():
    return max(abs(float(layer.mix.sum()) - 1) for layer in make("pha-gated")[0].layers)


def dss_is_convolution():
    """The recurrence against a Fourier-domain convolution with its kernel."""
    dss = layer_of(make("pha-dss-dot")[0], mixers.Dss)
    u, state = random_rows(53, 24), dss.start()
    rows = torch.cat([dss.step(u[t:t + 1], None, state) for t in range(53)])
    gate, s = dss.project(u)
    spectrum = torch.fft.rfft(dss.kernel(53), 128) * torch.fft.rfft(s.T, 128)
    y = torch.fft.irfft(spectrum, 128)[:, :53].T
    return difference(rows, dss.finish(y, s, gate))


def h3_shift_is_fir():
    """B = e_0: tap j of the shift SSM is C[j], for N taps."""
    h3 = layer_of(make("h3-default")[0], mixers.H3)
    h3.shift_b = torch.zeros_like(h3.shift_b)
    h3.shift_b[:, 0] = 1
    k, p, rows = random_rows(40, 30), torch.zeros_like(h3.shift_b), []
    for t in range(40):
        p = torch.cat([torch.zeros(30, 1), p[:, :-1]], 1) + h3.shift_b * k[t][:, None]
        rows.append((h3.shift_c * p).sum(1))
    n = h3.shift_b.shape[1]
    fir = [sum(h3.shift_c[:, j] * k[t - j] for j in range(min(n, t + 1))) for t in range(40)]
    return max(difference(torch.stack(rows), torch.stack(fir)),
               difference(h3.shift_kernel(), h3.shift_c))


def hedgehog_rows_sum_to_one():
    mixer = layer_of(make("hedgehog-default")[0], mixers.Hedgehog)
    q, k, _ = mixer.features(random_rows(50, 30), torch.arange(50))
    return float((mixer.rows(q, k).sum(-1) - 1).abs().max())


def dynamic_at_n_equal_m_is_default():
    entry = CASES["llama-rope-dynamic"]
    tensors, ids = make_tensors(entry, 7), make_ids(entry, 7)
    plain = {key: v for key, v in entry.config.items() if key != "rope_scaling"}
    return difference(build(parse_config(entry.config), tensors).logits(ids),
                      build(parse_config(plain), tensors).logits(ids))


PROPERTIES = [ssd_is_linear_attention, ssd_chunked_scan, pha_mix_sums_to_one,
              dss_is_convolution, h3_shift_is_fir, hedgehog_rows_sum_to_one,
              dynamic_at_n_equal_m_is_default]


def run():
    """Prints one line a check; 1 if any failed."""
    failed = False
    checks = [(f"forms {name}", TOLERANCE, forms, name) for name in CASES]
    checks += [(f"shift {name}", SHIFT_TOLERANCE, shift, name) for name in CASES
               if name.startswith("transxssm")]
    checks += [(check.__name__, TOLERANCE, check) for check in PROPERTIES]
    for label, limit, check, *args in checks:
        worst = check(*args)
        good = worst <= limit
        failed |= not good
        print(f"{'ok  ' if good else 'FAIL'} {label:40s} {worst:.1e}")
    return int(failed)
