"""What a run leaves on disk while it trains: enough to go on exactly, and the adapters that may yet be kept."""

import json
from collections.abc import Mapping
from pathlib import Path

from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from memozy.modeling import save_tensors
from memozy.policies import ADAPTER


class Checkpoints:
    """In `folder`: state.json (the curves, samples and numbers so far), the trainer's tensors after the last update,
    and adapters. adapter u is the policy that u updates have made; 0 is the start, which is always there.

    A kill at any moment leaves the last state.json with all the files it names. Of files there are never more than a
    few: what no update needs any longer is deleted.
    """

    def __init__(self, folder: Path, model: PeftModel) -> None:
        self.folder, self.model = folder, model

    def save(self, told: Mapping, tensors: Mapping[str, Tensor], update: int, needed: set[int]) -> None:
        """The state after `update` updates. told: JSON values. needed: adapters that may be asked for later, this apart."""
        save_tensors(get_peft_model_state_dict(self.model, adapter_name=ADAPTER, save_embedding_layers=False),
                     self._adapter(update))  # fmt: skip
        save_tensors(dict(tensors), self._trainer(update))
        scratch = self.folder / "state.tmp"
        scratch.write_text(json.dumps({"update": update, **told}), encoding="utf-8")
        scratch.replace(self.folder / "state.json")
        kept = {self._trainer(update), *(self._adapter(u) for u in {0, update, *needed})}
        for file in (*self.folder.glob("trainer-*"), *self.folder.glob("adapter-*")):
            if file not in kept:
                file.unlink()

    def load(self) -> tuple[dict, dict[str, Tensor]] | None:
        """(told, tensors) of the last save; None before the first."""
        file = self.folder / "state.json"
        if not file.is_file():
            return None
        told = json.loads(file.read_text(encoding="utf-8"))
        return told, load_file(self._trainer(told["update"]))

    def put_back(self, update: int) -> None:
        """Make the model's active adapter the one that `update` updates have made."""
        set_peft_model_state_dict(self.model, load_file(self._adapter(update)), adapter_name=ADAPTER)

    def _adapter(self, update: int) -> Path:
        return self.folder / f"adapter-{update}.safetensors"

    def _trainer(self, update: int) -> Path:
        return self.folder / f"trainer-{update}.safetensors"
