"""The container images stages run in: one per dependency profile, overridable for a registry of one's own."""

import os

CPU_IMAGE = os.environ.get("MEMOZY_CPU_IMAGE", "memozy-cpu:0.1.0")
TRAIN_IMAGE = os.environ.get("MEMOZY_TRAIN_IMAGE", "memozy-train:0.1.0")
