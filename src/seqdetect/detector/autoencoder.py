"""An autoencoder of single steps (Hawkins et al. 2002), PyOD's: what a small network cannot write again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pyod.models.auto_encoder import AutoEncoder, AutoEncoderModel
from torch import nn

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Value
from seqdetect.detector.seeding import undisturbed

SCALE_GUARD = 1e-8
"""What PyOD adds to a column's deviation before it divides by it."""


@dataclass
class Autoencoder:
    """Score: PyOD's ``decision_function``, the Euclidean norm of the reconstruction error of the scaled step."""

    hidden: tuple[int, ...] = (64, 32)
    """Widths of the encoder's layers; the decoder's mirror them."""
    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    dropout: float = 0.2
    fit_rows: int = 20_000
    research_only: str | None = None
    model: AutoEncoder | None = field(default=None, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        fitted = sample(rows, self.fit_rows, seed).astype(np.float64)
        with undisturbed():
            self.model = AutoEncoder(
                hidden_neuron_list=list(self.hidden),
                epoch_num=self.epochs,
                # PyOD drops the last incomplete batch: with fewer rows than one, it would never train
                batch_size=min(self.batch_size, len(fitted)),
                lr=self.learning_rate,
                dropout_rate=self.dropout,
                device=torch.device("cpu"),
                random_state=seed,
                verbose=0,
            )
            self.model.fit(fitted)
        self.model.X_std = np.where(self.model.X_std > 0.0, self.model.X_std, 1.0)
        self.model.X_mean = self.model.X_mean.astype(np.float32).astype(np.float64)

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        mean, deviation = self.model.X_mean[None, :], self.model.X_std[None, :] + SCALE_GUARD
        scaled: Value = (rows - mean) / deviation
        written = scaled
        for weights, bias, rectified in layers(self.model.model):
            written = written @ weights + bias[None, :]
            if rectified:
                written = context.graph.op("Relu", written)
        error = written - scaled
        return (error * error).sum(len(mean[0])).sqrt()

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(
            self.model.decision_function(rows.values.astype(np.float64), batch_size=4096), np.float64
        )


def layers(net: AutoEncoderModel) -> list[tuple[NDArray[np.float64], NDArray[np.float64], bool]]:
    """Weights ``[in, out]``, bias ``[out]`` and whether a rectifier follows, of each layer of a trained network.

    Batch normalisation, which lies between the linear map and the rectifier, is multiplied into the map; dropout
    does nothing after training.
    """
    out = []
    for block in [*net.encoder, *net.decoder]:
        linear = block if isinstance(block, nn.Linear) else block.linear
        weights, bias = _numbers(linear.weight).T, _numbers(linear.bias)
        if linear is not block:
            scale = _numbers(block.bn.weight) / np.sqrt(_numbers(block.bn.running_var) + block.bn.eps)
            weights, bias = (
                weights * scale,
                (bias - _numbers(block.bn.running_mean)) * scale + _numbers(block.bn.bias),
            )
        out.append((weights, bias, linear is not block))
    return out


def _numbers(values: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().numpy(), np.float64)
