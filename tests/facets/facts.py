"""What a facet has to be, written out by hand: its methods, its records, its statuses.

A parameter or a field with `?` may be left out.  Nothing here is read from the package,
so what is changed there without being meant is seen.  Start at `METHODS`.
"""

METHODS = {
    "IssueTracker": {
        "create_issue": "spec",
        "get_issue": "id",
        "update_issue": "id update",
        "list_issues": "query",
        "add_comment": "id text",
        "list_comments": "id",
    },
    "SourceControl": {
        "create_branch": "spec",
        "get_branch": "name",
        "list_branches": "query?",
        "commit": "spec",
        "get_commit": "ref",
        "list_commits": "query",
        "get_diff": "from_ref to_ref",
    },
    "DevAgent": {
        "invoke": "prompt options?",
        "invoke_stream": "prompt options?",
        "cancel": "invocation_id",
        "get_capabilities": "",
    },
    "Pipeline": {
        "trigger_pipeline": "id options?",
        "get_pipeline_status": "run_id",
        "cancel_pipeline": "run_id",
        "list_pipelines": "",
    },
    "Logger": {
        "debug": "message context?",
        "info": "message context?",
        "warn": "message context?",
        "error": "message context?",
        "child": "context",
    },
    "EventBus": {
        "emit": "event payload?",
        "on": "event handler",
        "off": "event handler",
    },
    "SecretStore": {
        "get_secret": "key",
        "set_secret": "key value",
        "delete_secret": "key",
        "has_secret": "key",
    },
    "StateStore": {
        "get": "key default?",
        "set": "key value",
        "delete": "key",
        "has": "key",
        "keys": "prefix?",
    },
    "DecisionHandler": {
        "request_decision": "spec",
        "get_decision": "id",
        "resolve_decision": "id result",
        "list_pending_decisions": "",
    },
    "WorkflowEngine": {
        "create_workflow": "spec",
        "get_workflow": "id",
        "start_workflow": "id input?",
        "cancel_workflow": "id reason?",
        "get_workflow_status": "id",
    },
}

# What each facet's methods are async but for.
SYNC = {
    "Logger": {"debug", "info", "warn", "error", "child"},
    "EventBus": {"on", "off"},
    "DevAgent": {"invoke_stream"},
}

RECORDS = {
    "Issue": "id title body state labels assignees created_at updated_at",
    "IssueSpec": "title body? labels? assignees?",
    "IssueUpdate": "title? body? state? labels? assignees?",
    "IssueQuery": "state? labels? assignee? limit? offset?",
    "Comment": "id body author created_at",
    "Branch": "name head is_default created_at",
    "BranchSpec": "name from_ref?",
    "Commit": "sha message author date",
    "CommitSpec": "message files",
    "CommitQuery": "branch? author? since? until? limit? offset?",
    "DiffEntry": "path status additions deletions",
    "InvokeOptions": "timeout_ms? signal? metadata?",
    "AgentResult": "output invocation_id usage?",
    "AgentUsage": "input_tokens? output_tokens?",
    "StreamChunk": "text metadata?",
    "AgentCapabilities": "streaming cancellation models",
    "TriggerOptions": "branch? parameters? environment?",
    "PipelineDefinition": "id name description? default_branch?",
    "PipelineRun": "id pipeline_id status created_at started_at? completed_at? logs_url?",
    "DecisionSpec": "title description options urgency deadline?",
    "DecisionOption": "label description? metadata?",
    "DecisionResult": "selected_option rationale? decided_by",
    "Decision": "id title description options urgency deadline? result? status "
    "created_at resolved_at?",
    "WorkflowSpec": "name description? steps",
    "WorkflowStep": "id name description? depends_on?",
    "StepResult": "step_id status output? error? started_at? completed_at?",
    "Workflow": "id name description? steps status step_results input? created_at "
    "started_at? completed_at?",
    "PaginatedQuery": "limit? offset?",
    "PaginatedResult": "items total has_more",
}

# What a facet and its errors may say in one word: (record, field) -> the words.
STATUSES = {
    ("Issue", "state"): "open closed",
    ("IssueQuery", "state"): "open closed all",
    ("DiffEntry", "status"): "added modified deleted renamed",
    ("PipelineRun", "status"): "pending running completed failed cancelled",
    ("DecisionSpec", "urgency"): "low medium high critical",
    ("Decision", "urgency"): "low medium high critical",
    ("Decision", "status"): "pending resolved",
    ("StepResult", "status"): "pending running completed failed skipped",
    ("Workflow", "status"): "pending running completed failed cancelled",
}

CODES = "NOT_FOUND VALIDATION AUTH CONFLICT TIMEOUT CANCELLED UNKNOWN"
