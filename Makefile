# The main jobs. Each installs what it needs, says what it does and asks nothing.
.PHONY: help setup build demo test lint bench mutants image
SHELL := /bin/bash

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what is missing on a Debian machine
	@tools/setup

build: setup ## Build contracts and binaries
	@tools/build

demo: ## Rent a container end to end on this machine; KEEP=1 leaves it running
	@tools/setup && tools/build && tools/demo

test: ## Every test: contracts, Rust, end to end
	@tools/setup && tools/test

lint: ## Formatting, warnings, licences, static analysis
	@tools/setup lint && tools/lint

bench: ## Write bench/results.json
	@tools/setup && tools/bench

image: ## The container images: provider with node agent, and fizz
	@tools/setup && tools/image provider && tools/image fizz

mutants: ## Show that the suite notices each listed mutation
	@tools/setup && tools/mutants
