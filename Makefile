.DEFAULT_GOAL := help
.PHONY: help demo demo-status demo-down demo-kubernetes demo-kubernetes-open demo-kubernetes-down laptop laptop-down processes compose cluster cluster-down test test-all test-fast lint faults conformance bench cells chart-readme lock clean

# Where this checkout is the collection stalk.celery, and the files that a target reads.
COLLECTIONS := .ansible/collections
STACK := stack.yml

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Deploy stack.yml to a server in a container, place 100 orders and watch them ship
	@tools/prepare control servers && .venv/bin/python tools/demo.py up

demo-status: ## Print the table that `playbooks/status.yml` shows, of the demo
	@.venv/bin/ansible-playbook -i inventory/demo playbooks/status.yml

demo-down: ## Remove the demo's server and its secrets
	@.venv/bin/python tools/demo.py down

demo-kubernetes: ## Install stack.yml with Helm on Kubernetes, place 100 orders and watch them ship
	@tools/prepare control cluster images && .venv/bin/python tools/demo_kubernetes.py up

demo-kubernetes-open: ## Let https://shop.localhost:8443/ lead to it, until Ctrl-C
	@.venv/bin/python tools/demo_kubernetes.py open

demo-kubernetes-down: ## Remove it, with its data
	@.venv/bin/python tools/demo_kubernetes.py down

laptop: ## Run compose.yaml on this machine with Docker Compose
	@tools/prepare control compose && PYTHONPATH=$(COLLECTIONS) .venv/bin/python tools/laptop.py up

laptop-down: ## Remove it, with its data and its secrets
	@PYTHONPATH=$(COLLECTIONS) .venv/bin/python tools/laptop.py down

processes: ## Run what compose.yaml describes without containers, until Ctrl-C
	@tools/prepare control app && PYTHONPATH=$(COLLECTIONS) .venv/bin/python tools/processes.py

compose: ## Write compose.yaml from STACK, which is stack.yml
	@tools/prepare control && PYTHONPATH=$(COLLECTIONS) .venv/bin/python tools/compose.py $(STACK)

cluster: ## Start Kubernetes with KEDA, the one that the chart's tests use
	@tools/prepare control cluster && .venv/bin/python tools/cluster.py up

cluster-down: ## Remove that Kubernetes
	@python3 tools/cluster.py down

test: ## Run the tests; installs what it needs
	@tools/prepare control tests chart && .venv/bin/python tools/test.py

test-all: ## Run every test, those that take minutes too, but `make faults`
	@tools/prepare control tests chart && .venv/bin/python tools/test.py --all

test-fast: ## Run the linters and the tests that need no server
	@tools/prepare control tests chart && .venv/bin/python tools/test.py lint unit app chart parity renders

lint: ## Run the linters
	@tools/prepare control tests && .venv/bin/python tools/test.py lint

faults: ## Let servers and pods fail in every way while tasks flow, and show what that did to the tasks
	@tools/prepare control tests chart && .venv/bin/python tools/test.py faults-on-servers faults-on-rabbitmq faults-on-kubernetes

conformance: ## Run Celery's own integration suite on brokers that Stalk provisioned, over TLS
	@tools/prepare control conformance && .venv/bin/python tools/conformance.py

bench: ## Measure servers, tasks and the chart beside their peers
	@tools/prepare control tests cluster images && .venv/bin/python -m bench

cells: ## Write the table of brokers in docs/brokers.md from the last tests
	@.venv/bin/python tools/cells.py

chart-readme: ## Write the table of values in the chart's README
	@tools/prepare control && .venv/bin/python tools/chart_readme.py

lock: ## Compile every requirements.txt from its requirements.in, newest versions
	@tools/prepare control && tools/lock

clean: demo-down cluster-down ## Remove the demo, the cluster, the test servers, their images and the virtual environments
	@tools/clean
