"""The KV store on Google Cloud Bigtable."""
