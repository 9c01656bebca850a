"""The bundle: one ONNX file that holds a detector's step function and all that is needed to run it."""
