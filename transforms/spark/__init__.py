"""The evaluator: Spark plans a query once, and runs it on Arrow batches without a Spark job."""
