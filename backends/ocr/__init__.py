"""The embedded lanes: they read documents on a CPU, with text layers, OCR and a learned candidate scorer."""
