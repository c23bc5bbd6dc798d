"""Quantized models: any function `apply(params, *inputs)`, planned, observed, quantized and frozen."""

from qresearch.models.adapters import Adapters
from qresearch.models.casting import difference, downcast, footprint
from qresearch.models.dot import dot
from qresearch.models.files import load, save
from qresearch.models.folding import fold_batch_norm
from qresearch.models.frozen import Frozen
from qresearch.models.lora import lora, merge
from qresearch.models.methods import METHODS as methods
from qresearch.models.observers import OBSERVERS as observers
from qresearch.models.plan import Plan
from qresearch.models.planning import plan, quantize
from qresearch.models.recipe import Recipe
from qresearch.models.rule import Rule
from qresearch.models.state import State
from qresearch.models.trainable import Trainable

__all__ = [
    "Adapters",
    "Frozen",
    "Plan",
    "Recipe",
    "Rule",
    "State",
    "Trainable",
    "difference",
    "dot",
    "downcast",
    "fold_batch_norm",
    "footprint",
    "load",
    "lora",
    "merge",
    "methods",
    "observers",
    "plan",
    "quantize",
    "save",
]
