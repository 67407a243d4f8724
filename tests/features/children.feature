Feature: Workflows that run workflows
  A sub-workflow is an execution of its own: its output, its end, its errors, its version.

  Scenario: The output of the task is the output of the workflow that it ran
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: double, version: '1.0.0' }
    do:
      - double: { set: { n: '${ .n * 2 }' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: parent, version: '1.0.0' }
    do:
      - child: { run: { workflow: { namespace: omnihub, name: double, version: '1.0.0', input: { n: '${ .n }' } } } }
      - after: { set: { n: '${ .n + 1 }' } }
    """
    And given the workflow input is:
    """yaml
    n: 20
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    n: 41
    """
    And after should run after child

  # Both versions are published before the execution begins; the newer one is taken.
  Scenario: The latest version is looked up when the execution begins
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: which, version: '1.2.0' }
    do:
      - old: { set: { version: old } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: which, version: '1.10.0' }
    do:
      - new: { set: { version: new } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: parent, version: '1.0.0' }
    do:
      - child: { run: { workflow: { namespace: omnihub, name: which, version: latest } } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    version: new
    """

  Scenario: End in a sub-workflow ends only that
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: short, version: '1.0.0' }
    do:
      - first: { set: { first: true }, then: end }
      - second: { set: { second: true } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: parent, version: '1.0.0' }
    do:
      - child: { run: { workflow: { namespace: omnihub, name: short, version: '1.0.0' } } }
      - after: { set: { child: '${ . }', after: true } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    child: { first: true }
    after: true
    """

  Scenario: A fault of a sub-workflow is the fault of the task, and can be caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: broken, version: '1.0.0' }
    do:
      - stop: { raise: { error: { type: https://example.com/sold-out, status: 409 } } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: parent, version: '1.0.0' }
    do:
      - attempt:
          try:
            - child: { run: { workflow: { namespace: omnihub, name: broken, version: '1.0.0' } } }
          catch:
            errors: { with: { type: https://example.com/sold-out } }
            as: err
            do: [ { told: { set: { status: '${ $err.status }' } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    status: 409
    """

  Scenario: A sub-workflow that waits survives a restart
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: slow, version: '1.0.0' }
    do:
      - nap: { wait: PT0.3S }
      - done: { set: { done: true } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: parent, version: '1.0.0' }
    do:
      - child: { run: { workflow: { namespace: omnihub, name: slow, version: '1.0.0' } } }
    """
    When the workflow is executed
    And the runtime restarts
    Then the workflow should complete with output:
    """yaml
    done: true
    """
