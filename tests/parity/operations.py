"""Compares the exports of `ksdsl/tests/data/operations.ksn` with formulas, in double precision.

    python tests/parity/operations.py target/debug/ksn

`lin` is PyTorch's rule without `align_corners`: output pixel i lies at (i + 1/2) / factor - 1/2, within the map.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
import torch
import torch.nn.functional as F

torch.manual_seed(0)
KSN = sys.argv[1]
NETS = Path(__file__).parents[2] / 'ksdsl/tests/data/operations.ksn'
FOLDER = Path(tempfile.mkdtemp())

def load(net):
    text = subprocess.run([KSN, 'export', 'pytorch', str(NETS), '--net', net], capture_output=True, text=True, check=True).stdout
    (FOLDER / f'{net}.py').write_text(text)
    spec = importlib.util.spec_from_file_location(net, FOLDER / f'{net}.py')
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    cls = [v for k, v in vars(m).items() if isinstance(v, type) and k.lower().replace('_', '') == net.replace('_', '')][0]
    model = cls().double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model
m = load('operations')
s = m.state_dict()
x = torch.randn(3, 4, 6, 5, dtype=torch.float64)

def rms(x, w, eps):
    return x / torch.sqrt((x * x).mean(1, keepdim=True) + eps) * w.view(1, -1, *[1] * (x.dim() - 2))

def gn(x, g, w, b, eps):
    y = x.reshape(x.shape[0], g, -1)
    mu = y.mean(2, keepdim=True)
    v = ((y - mu) ** 2).mean(2, keepdim=True)
    y = ((y - mu) / torch.sqrt(v + eps)).reshape(x.shape)
    sh = (1, -1, *[1] * (x.dim() - 2))
    return y * w.view(sh) + b.view(sh)

def lrelu(x, a):
    return torch.where(x > 0, x, a * x)

def elu(x, a):
    return torch.where(x > 0, x, a * (torch.exp(x) - 1))

def near(x, k):
    return x.repeat_interleave(k, 2).repeat_interleave(k, 3)

def lin(x, k, d):
    n = x.shape[d]
    o = (torch.arange(n * k, dtype=torch.float64) + 0.5) / k - 0.5
    o = o.clamp(0, n - 1)
    i = o.floor().long()
    j = (i + 1).clamp(max=n - 1)
    f = o - i
    sh = [1] * 4
    sh[d] = -1
    f = f.view(sh)
    return x.index_select(d, i) * (1 - f) + x.index_select(d, j) * f
y = F.conv2d(x, s['conv.weight'], padding=1)
y = gn(y, 4, s['group_norm.weight'], s['group_norm.bias'], 1e-05)
y = lrelu(y, 0.01)
y = gn(y, 2, s['g.weight'], s['g.bias'], 0.01)
y = lrelu(y, 0.2)
y = rms(y, s['rms_norm.weight'], 1e-06)
y = torch.tanh(y)
y = rms(y, s['r.weight'], 0.5)
y = elu(y, 1.0)
y = near(y, 2)
y = torch.log1p(torch.exp(y))
y = lin(lin(y, 3, 2), 3, 3)
y = elu(y, 0.5)
y = y.mean((2, 3))
y = gn(y, 2, s['group_norm_2.weight'], s['group_norm_2.bias'], 1e-05)
y = rms(y, s['rms_norm_2.weight'], 1e-06)
y = y @ s['linear.weight'].T + s['linear.bias']
ln = lambda x, eps: (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, correction=0, keepdim=True) + eps)
y = ln(ln(y, 1e-05) * s['layer_norm.weight'], 0.5)
y = y / torch.sqrt((y * y).mean(1, keepdim=True) + 0.25)
print('operations', (m(x) - y).abs().max().item(), y.abs().max().item())
assert (m(x) - y).abs().max() < 1e-12
m = load('joins')
s = m.state_dict()
y = F.conv2d(x, s['conv.weight'], padding=1) - x
q = rms(F.conv2d(y, s['query.weight']), s['rms_norm.weight'], 1e-06)
k = rms(F.conv2d(y, s['pointwise.weight']), s['rms_norm_2.weight'], 1e-06)
out = []
for h in (slice(0, 2), slice(2, 4)):
    Q, K, V = [t[:, h].flatten(2) for t in (q, k, y)]
    A = torch.softmax(torch.einsum('bci,bcj->bij', Q, K) / 2 ** 0.5, 2)
    out.append(torch.einsum('bij,bcj->bci', A, V).reshape(3, 2, 6, 5))
y = torch.cat(out, 1).mean((2, 3))
y = y - torch.tanh(y @ s['linear.weight'].T + s['linear.bias'])
print('joins', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12
m = load('shared_norms')
s = m.state_dict()
y = x
for i in range(4):
    h = F.conv2d(y, s['shared.s_conv.weight'], padding=1)
    h = lrelu(gn(h, 2, s['shared.s_group_norm.weight'], s['shared.s_group_norm.bias'], 1e-05), 0.01)
    y = y + rms(h, s['shared.s_n.weight'], 1e-06)
for i in range(3):
    g = '0' if i < 2 else '1'
    y = F.conv2d(y, s[f't.{i}.pointwise.weight'])
    y = gn(y, 2, s[f'shared.t_group_norm.{g}.weight'], s[f'shared.t_group_norm.{g}.bias'], 1e-05)
    y = rms(y, s['shared.r.weight'], 1e-06)
y = y.mean((2, 3)) @ s['linear.weight'].T + s['linear.bias']
print('shared', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12


def relu6(x):
    return x.clamp(0, 6)

def mish(x):
    return x * torch.tanh(torch.log1p(torch.exp(x)))

def selu(x):
    a, l = 1.6732632423543772, 1.0507009873554805
    return l * torch.where(x > 0, x, a * (torch.exp(x) - 1))

def soft(x):
    e = torch.exp(x)
    return e / e.sum(1, keepdim=True)

def wide(w, x):
    return w.view(1, -1, *[1] * (x.dim() - 2))

def slope(x, w):
    return torch.where(x > 0, x, wide(w, x) * x)

ONE, NONE = torch.ones(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64)
m = load('functions').eval()
s = m.state_dict()
y = mish(relu6(F.conv2d(x, s['conv.weight'], padding=1)))
y = ((selu(y) + 3).clamp(0, 6) / 6).clamp(-0.25, 0.75)
y = torch.exp(-2 * y + 1.5) * wide(s['layer_scale.weight'], y)
y = slope(slope(y, s['prelu.weight']), s['prelu_2.weight'])
y = torch.log(soft(soft(y)))
y = gn(gn(y, 6, ONE, NONE, 1e-05), 6, s['instance_norm_2.weight'], s['instance_norm_2.bias'], 0.01)
y = gn(y, 2, ONE, NONE, 1e-05)
y = (y + wide(s['layer_shift.weight'], y)).mean((2, 3))
y = slope(y * s['layer_scale_2.weight'] + s['layer_shift_2.weight'], s['prelu_3.weight'])
y = torch.log(soft(3 * soft(y)))
y = y @ s['linear.weight'].T + s['linear.bias']
print('functions', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12

def transposed(x, w, b, stride, pad, more, groups):
    """Each input value times the kernel, added where it belongs."""
    n, c, h, v = x.shape
    out, (kh, kw) = w.shape[1] * groups, w.shape[2:]
    full = [(h - 1) * stride[0] + kh + more[0], (v - 1) * stride[1] + kw + more[1]]
    y = torch.zeros(n, out, *full, dtype=x.dtype)
    for i in range(c):
        group = i // (c // groups)
        to = slice(group * w.shape[1], (group + 1) * w.shape[1])
        for a in range(h):
            for d in range(v):
                rows, columns = slice(a * stride[0], a * stride[0] + kh), slice(d * stride[1], d * stride[1] + kw)
                y[:, to, rows, columns] += x[:, i, a, d].view(-1, 1, 1, 1) * w[i]
    y = y[:, :, pad[0]:full[0] - pad[0], pad[1]:full[1] - pad[1]]
    return y if b is None else y + b.view(1, -1, 1, 1)

def zeros(x, top, bottom, left, right):
    n, c, h, v = x.shape
    y = torch.zeros(n, c, top + h + bottom, left + v + right, dtype=x.dtype)
    y[:, :, top:top + h, left:left + v] = x
    return y

def windows(n, k, s, p):
    """Windows of a line, rounded up: those that begin before the line's end; clipped to the padded line."""
    count = -(-(n + 2 * p - k) // s) + 1
    starts = [i * s - p for i in range(count) if i * s - p < n]
    return [(max(a, 0), min(a + k, n), min(a + k, n + p) - a) for a in starts]

def pooled(x, k, s, p, largest):
    rows, columns = (windows(x.shape[2 + i], k[i], s[i], p[i]) for i in (0, 1))
    cell = lambda r, c: x[:, :, r[0]:r[1], c[0]:c[1]].flatten(2)
    value = lambda r, c: cell(r, c).amax(2) if largest else cell(r, c).sum(2) / (r[2] * c[2])
    return torch.stack([torch.stack([value(r, c) for c in columns], 2) for r in rows], 2)

m = load('reshaped')
s = m.state_dict()
x = torch.randn(3, 8, 7, 6, dtype=torch.float64)
y = torch.zeros(3, 2, 14, 12, dtype=torch.float64)
for i in (0, 1):
    for j in (0, 1):
        y[:, :, i::2, j::2] = x[:, 2 * i + j::4]
y = transposed(y, s['conv_transpose.weight'], s['conv_transpose.bias'], (2, 3), (1, 0), (1, 2), 2)
y = transposed(y, s['conv_transpose_2.weight'], None, (1, 1), (0, 0), (0, 0), 1)
y = F.conv2d(zeros(y, 1, 0, 2, 0), s['conv.weight'])
y = F.conv2d(zeros(zeros(y, 1, 2, 3, 4), 0, 1, 0, 1), s['conv_2.weight'])
y = y[:, [0, 2, 1, 3]][:, 1:3]
none = torch.zeros_like(y)
y = torch.cat([none[:, :1], y, none], 1)[:, :, ::2, ::3]
y = pooled(y, (3, 3), (2, 2), (1, 1), True)
y = pooled(y, (2, 3), (3, 2), (1, 1), False)
y = pooled(y, (2, 2), (2, 2), (0, 0), True)
h, v = y.shape[2:]
part = lambda i, n, parts: slice(i * n // parts, -(-(i + 1) * n // parts))
y = torch.stack([torch.stack([y[:, :, part(i, h, 2), part(j, v, 3)].mean((2, 3)) for j in range(3)], 2) for i in range(2)], 2)
y = y.mean((2, 3))[:, :4]
y = torch.cat([torch.zeros(3, 2, dtype=torch.float64), y], 1) @ s['linear.weight'].T + s['linear.bias']
print('reshaped', (m(x) - y).abs().max().item(), y.abs().max().item())
assert (m(x) - y).abs().max() < 1e-12

m = load('shared_factors')
s = m.state_dict()
x = torch.randn(3, 4, 5, 5, dtype=torch.float64)
y = x
for i in range(4):
    w, b = s[f'shared.up.{i // 2}.weight'], s[f's.{i}.conv_transpose.bias']
    y = slope(transposed(y, w, b, (1, 1), (1, 1), (0, 0), 1), s[f'shared.s_prelu.{i % 2}.weight'])
    y = y + wide(s['shared.factors.weight'], y) * F.conv2d(y, s[f's.{i}.pointwise.weight'])
y = y.mean((2, 3)) @ s['linear.weight'].T + s['linear.bias']
print('shared_factors', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12

def standardised(w, eps, gain=None):
    """Rows of mean 0 and variance 1; times a gain and divided by the root of their length."""
    rows = w.flatten(1)
    mu = rows.mean(1, keepdim=True)
    rows = (rows - mu) / torch.sqrt(((rows - mu) ** 2).mean(1, keepdim=True) + eps)
    if gain is not None:
        rows = rows * gain.view(-1, 1) / rows.shape[1] ** 0.5
    return rows.view(w.shape)

def inside(x, k, s, p, count):
    """Means over the pixels of the map that are in each window."""
    spans = [[(max(i * s[d] - p, 0), min(i * s[d] - p + k[d], x.shape[2 + d])) for i in range(count[d])] for d in (0, 1)]
    cells = [[x[:, :, a:b, c:d].mean((2, 3)) for c, d in spans[1]] for a, b in spans[0]]
    return torch.stack([torch.stack(row, 2) for row in cells], 2)

m = load('standardised')
s = m.state_dict()
x = torch.randn(3, 4, 7, 6, dtype=torch.float64)
y = F.conv2d(x, standardised(s['conv.weight'], 1e-6, s['conv.gain']), s['conv.bias'], padding=1)
y = F.conv2d(y, standardised(s['conv_2.weight'], 0.01), groups=2) * s['layer_scale.weight'].item()
y = inside(y, (3, 3), (1, 1), 1, (5, 6))
y = inside(y, (2, 3), (2, 3), 1, (3, 3))
gate = torch.stack([y.mean(1), y.max(1).values], 1)
y = y * torch.sigmoid(F.conv2d(gate, s['pointwise.weight']))
mean, most = y.sum(1, keepdim=True) / 6, y.max(1, keepdim=True).values
y = most * mean * F.conv2d(y, s['pointwise_2.weight']) * mean
y = F.conv2d(y.reshape(3, 2, 9, 3), standardised(s['conv_3.weight'], 1e-6)).mean(1)
y = (y.mean((1, 2)) * s['layer_scale_2.weight'].item()).view(3, 1) @ s['linear.weight'].T + s['linear.bias']
print('standardised', (m(x) - y).abs().max().item(), y.abs().max().item())
assert (m(x) - y).abs().max() < 1e-12

m = load('shared_standard')
s = m.state_dict()
x = torch.randn(3, 4, 5, 5, dtype=torch.float64)
y = x
for i in range(4):
    w, g, b = (s[f'shared.body.{i // 2}.{part}'] for part in ('weight', 'gain', 'bias'))
    y = F.conv2d(y, standardised(w, 1e-6, g), b, padding=1) * s['shared.s_layer_scale.weight'].item()
y = y.mean((2, 3)) @ s['linear.weight'].T + s['linear.bias']
print('shared_standard', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12
