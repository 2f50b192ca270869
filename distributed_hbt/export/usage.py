"""Code that uses an exported folder, for its model card."""

from distributed_hbt.models.manifest import EncoderManifest

FOLDER = "path/to/this/folder"
"""What stands in the code for the folder."""

_POOLED = {
    "last_token": "hidden[torch.arange(len(hidden)), mask.sum(1) - 1]",
    "cls": "hidden[:, 0]",
    "mean": "(hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)",
}


def sentence_transformers_code() -> str:
    """Python, for sentence-transformers."""
    return f"""from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{FOLDER}")
queries = model.encode_query(["Who wrote Faust?"])
passages = model.encode_document(["Faust is a tragedy by Goethe.", "The river flows to the sea."])
print(model.similarity(queries, passages))"""


def transformers_code(manifest: EncoderManifest) -> str:
    """Python, for transformers alone."""
    pooled = _POOLED[manifest.pooling]
    if manifest.normalize:
        pooled = f"torch.nn.functional.normalize({pooled}, dim=-1)"
    return f"""import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{FOLDER}")
model = AutoModel.from_pretrained("{FOLDER}").eval()

@torch.no_grad()
def embed(texts, prompt, max_length):
    texts = [prompt + text for text in texts]
    settings = dict(padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    batch = tokenizer(texts, **settings)
    hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"]
    return {pooled}

queries = embed(["Who wrote Faust?"], {manifest.query_prompt!r}, {manifest.max_query_length})
passages = embed(["Faust is by Goethe."], {manifest.passage_prompt!r}, {manifest.max_passage_length})
print(queries @ passages.T)"""
