"""The training loop: the same pictures, seed, and number of threads give the same weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from livecnn.nets.lenet import Lenet
from livecnn.training.augment import Augment
from livecnn.types import Image

BATCH = 128
PEAK_RATE = 2e-3
DECAY = 1e-2
AVERAGING = 0.999  # of the exponential moving average of the weights, per step

def train(images: Image, labels, epochs, seed, mean, std, augment=None, progress=None, opt="adamw", rate=PEAK_RATE, batch=BATCH, decay=DECAY, smoothing=0.0, evalf=None, ema_d=AVERAGING):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    net = Lenet()
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(ema_d))
    x = torch.from_numpy(images)[:, None]; y = torch.from_numpy(labels).long()
    steps = -(-len(x) // batch)
    if opt == "adamw":
        o = torch.optim.AdamW(net.parameters(), rate, weight_decay=decay)
    else:
        o = torch.optim.SGD(net.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay)
    sch = torch.optim.lr_scheduler.OneCycleLR(o, rate, total_steps=epochs*steps, pct_start=0.15)
    augment = augment or Augment()
    for e in range(epochs):
        order = torch.randperm(len(x), generator=g)
        tot = 0
        for idx in order.split(batch):
            b = augment(x[idx].float() / 255, g)
            loss = F.cross_entropy(net.logits((b - mean) / std), y[idx], label_smoothing=smoothing)
            o.zero_grad(); loss.backward(); o.step(); sch.step(); ema.update_parameters(net)
            tot += loss.item()
        if evalf: evalf(e, tot / steps, ema.module)
    return ema.module
