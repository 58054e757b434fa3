"""Computes stages in one process: trains, combines, evaluates.

A unit and its parents' states come in; scores, embeddings and a state go out.
"""

DIAGNOSTICS = {
    "modality": "sweep.stage.diagnostics.modality:Modality",
    "towers": "sweep.stage.diagnostics.towers:Towers",
    "cka": "sweep.stage.diagnostics.cka:CKA",
    "features": "sweep.stage.diagnostics.embedded_samples:EmbeddedSamples",
    "mm_shap": "sweep.stage.diagnostics.mm_shap:MMShap",
    "routing": "sweep.stage.diagnostics.routing:Routing",
    "ood": "sweep.stage.diagnostics.ood_detection:OODDetection",
}
"""Diagnostics by name."""
