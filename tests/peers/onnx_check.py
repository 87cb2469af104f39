"""Check an ONNX model and run it by the reference implementation and by onnxruntime.

    onnx_check.py MODEL.onnx IN.safetensors OUT.safetensors

IN holds x; OUT gets the logits under "reference" and "runtime", of each that took the model: the
reference lacks some operator versions, a runtime may be older than the model.  Prints the versions, the
types of the constants and the operators.
"""
import sys

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load_file, save_file

model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
x = load_file(sys.argv[2])["x"]
types = sorted({onnx.TensorProto.DataType.Name(t.data_type) for t in model.graph.initializer})
print("ir", model.ir_version, "opset", model.opset_import[0].version, "types", ",".join(types),
      "ops", ",".join(sorted({n.op_type for n in model.graph.node})))


def reference():
    return ReferenceEvaluator(model).run(None, {"input": x})[0].astype(np.float32)


def runtime():
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": x})[0]


out = {}
for run in (reference, runtime):
    try:
        out[run.__name__] = run()
    except Exception as e:
        print(run.__name__, "refused:", str(e).splitlines()[0][:200])
save_file(out, sys.argv[3])
