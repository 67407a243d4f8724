Feature: The governed profile
  Actions with a contract, savepoints, compensation, programs, and what asks a person.

  Scenario: A catalogued action is called with its arguments
    Given an action with definition:
    """yaml
    action: pet-read:1.0.0
    title: Read a pet
    effect: read
    class: read
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/{id}' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-catalogued-action-is-called-with-its-arguments, version: '1.0.0' }
    do:
      - read: { call: 'pet-read:1.0.0', with: { id: 2 }, output: { as: .name } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    Idefix
    """

  Scenario: Arguments that do not fit the action are refused
    Given an action with definition:
    """yaml
    action: pet-read:1.0.0
    title: Read a pet
    effect: read
    class: read
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/{id}' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: arguments-that-do-not-fit-the-action-are-refused, version: '1.0.0' }
    do:
      - read: { call: 'pet-read:1.0.0', with: { pet: 2 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1072

  Scenario: An action that nobody published is refused
    Given an action with definition:
    """yaml
    action: pet-read:1.0.0
    title: Read a pet
    effect: read
    class: read
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/{id}' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-action-that-nobody-published-is-refused, version: '1.0.0' }
    do:
      - read: { call: 'pet-reed:1.0.0', with: { id: 2 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1036

  Scenario: A fault undoes what was done, newest first, and is raised again
    Given an action with definition:
    """yaml
    action: drop:1.0.0
    title: Keep something
    effect: write
    class: idempotent
    blastRadius: { scope: record, max: 1, unit: thing }
    idempotency: { key: '$workflow.id + "/" + .id', header: Idempotency-Key }
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: put, endpoint: 'https://<outside>/echo/{id}' } }
    output: { as: .path }
    """
    And an action with definition:
    """yaml
    action: keep:1.0.0
    title: Keep something
    effect: write
    class: idempotent
    blastRadius: { scope: record, max: 1, unit: thing }
    idempotency: { key: '$workflow.id + "/" + .id', header: Idempotency-Key }
    input: { schema: { type: object, required: [ id ] } }
    compensate: { call: 'drop:1.0.0', with: { id: '${ .id }' } }
    run: { call: http, with: { method: put, endpoint: 'https://<outside>/echo/{id}' } }
    output: { as: .path }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-fault-undoes-what-was-done-newest-first-and-is-r, version: '1.0.0' }
    do:
      - one: { call: 'keep:1.0.0', with: { id: a } }
      - two: { call: 'keep:1.0.0', with: { id: b } }
      - stop: { raise: { error: { type: https://example.com/broken, status: 500 } } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://example.com/broken
    status: 500
    """
    And two should run after one

  Scenario: A rollback undoes to its savepoint and goes on
    Given an action with definition:
    """yaml
    action: drop:1.0.0
    title: Keep something
    effect: write
    class: idempotent
    blastRadius: { scope: record, max: 1, unit: thing }
    idempotency: { key: '$workflow.id + "/" + .id', header: Idempotency-Key }
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: put, endpoint: 'https://<outside>/echo/{id}' } }
    output: { as: .path }
    """
    And an action with definition:
    """yaml
    action: keep:1.0.0
    title: Keep something
    effect: write
    class: idempotent
    blastRadius: { scope: record, max: 1, unit: thing }
    idempotency: { key: '$workflow.id + "/" + .id', header: Idempotency-Key }
    input: { schema: { type: object, required: [ id ] } }
    compensate: { call: 'drop:1.0.0', with: { id: '${ .id }' } }
    run: { call: http, with: { method: put, endpoint: 'https://<outside>/echo/{id}' } }
    output: { as: .path }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-rollback-undoes-to-its-savepoint-and-goes-on, version: '1.0.0' }
    do:
      - one: { call: 'keep:1.0.0', with: { id: a } }
      - here: { call: 'checkpoint:1.0.0', with: { name: here } }
      - two: { call: 'keep:1.0.0', with: { id: b } }
      - back: { call: 'rollback:1.0.0', with: { to: here } }
      - after: { set: { went: on } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    went: 'on'
    """
    And after should run after back

  Scenario: A compensation is armed by hand, and released at the pivot
    Given an action with definition:
    """yaml
    action: drop:1.0.0
    title: Keep something
    effect: write
    class: idempotent
    blastRadius: { scope: record, max: 1, unit: thing }
    idempotency: { key: '$workflow.id + "/" + .id', header: Idempotency-Key }
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: put, endpoint: 'https://<outside>/echo/{id}' } }
    output: { as: .path }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-compensation-is-armed-by-hand-and-released-at-th, version: '1.0.0' }
    do:
      - arm: { call: 'on-rollback:1.0.0', with: { call: 'drop:1.0.0', with: { id: a } } }
      - pivot: { call: 'release:1.0.0' }
      - done: { set: { done: true } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    done: true
    """

  Scenario: A rollback to a savepoint that nobody sets is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-rollback-to-a-savepoint-that-nobody-sets-is-refu, version: '1.0.0' }
    do:
      - back: { call: 'rollback:1.0.0', with: { to: nowhere } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-2100

  @once
  Scenario: A shell command runs in the sandbox
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-shell-command-runs-in-the-sandbox, version: '1.0.0' }
    do:
      - count: { run: { shell: { command: 'wc -c', stdin: '${ .text }' } }, output: { as: '{ n: (. | tonumber) }' } }
    """
    And given the workflow input is:
    """yaml
    text: four
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    n: 4
    """

  Scenario: A script runs in the sandbox, as an action without an effect
    Given an action with definition:
    """yaml
    action: add:1.0.0
    title: Add two numbers
    effect: read
    class: pure
    input: { schema: { type: object, required: [ a, b ] } }
    run:
      run:
        script:
          language: python
          code: |
            import json, sys
            data = json.load(sys.stdin)
            print(data["a"] + data["b"])
          stdin: '${ tojson }'
    output: { as: 'tonumber' }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-script-runs-in-the-sandbox-as-an-action-without, version: '1.0.0' }
    do:
      - add: { call: 'add:1.0.0', with: { a: 1, b: 2 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    3
    """

  Scenario: A value is declassified by a person
    Given an action with definition:
    """yaml
    action: pet-read:1.0.0
    title: Read a pet
    effect: read
    class: read
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/{id}' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-value-is-declassified-by-a-person, version: '1.0.0' }
    do:
      - read: { call: 'pet-read:1.0.0', with: { id: 1 } }
      - trust: { call: 'declassify:1.0.0', with: { value: '${ .name }', reason: a name of a pet is harmless } }
    """
    When the workflow is executed
    And the approval is granted
    Then the workflow should complete with output:
    """yaml
    Milou
    """

  Scenario: A cancelled execution ends
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-cancelled-execution-ends, version: '1.0.0' }
    do:
      - sleep: { wait: P1D }
    """
    When the workflow is executed
    And the workflow is cancelled
    Then the workflow should be cancelled

  Scenario: A workflow asks a person, and goes on with what was filled in
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-workflow-asks-a-person, version: '1.0.0' }
    do:
      - ask:
          call: approval:1.0.0
          with:
            ask: Which colour?
            form: { type: object, properties: { colour: { type: string } }, required: [ colour ] }
      - take: { set: '${ { colour: .answer.colour, by: .by } }' }
    """
    When the workflow is executed
    And the approval is granted with:
    """yaml
    colour: blue
    """
    Then the workflow should complete with output:
    """yaml
    colour: blue
    by: user:approver
    """

  @clock
  Scenario: What a person answers survives a restart
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: what-a-person-answers-survives, version: '1.0.0' }
    do:
      - ask: { call: 'approval:1.0.0', with: { ask: Go on? } }
      - keep: { set: '${ { said: .reason } }' }
      - sleep: { wait: PT1H }
    """
    When the workflow is executed
    And the runtime restarts
    And the approval is granted
    And the runtime restarts
    And the clock advances PT1H
    Then the workflow should complete with output:
    """yaml
    said: the kit says so
    """

  Scenario: A no is an error that may be caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-no-is-an-error-that-may-be-caught, version: '1.0.0' }
    do:
      - guarded:
          try: [ { ask: { call: 'approval:1.0.0', with: { ask: Go on? } } } ]
          catch: { errors: { with: { type: https://omnihub.dev/errors/approval-denied, status: 403 } }, do: [ { no: { set: { went: elsewhere } } } ] }
    """
    When the workflow is executed
    And the approval is denied
    Then the workflow should complete with output:
    """yaml
    went: elsewhere
    """

  @clock
  Scenario: A question that nobody answers in time is an error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-question-that-nobody-answers, version: '1.0.0' }
    do:
      - ask: { call: 'approval:1.0.0', with: { ask: Go on?, deadline: PT30M } }
      - after: { set: { went: 'on' } }
    """
    When the workflow is executed
    And the clock advances PT30M
    Then the workflow should fault with error:
    """yaml
    type: https://omnihub.dev/errors/approval-denied
    status: 408
    """
    And after should not run

  Scenario: A question without words is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-question-without-words-is-refused, version: '1.0.0' }
    do:
      - ask: { call: 'approval:1.0.0', with: { approvers: 2 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-2101

  Scenario: An inline function is called with its arguments, when a person agrees
    Given an action with definition:
    """yaml
    action: pet-read:1.0.0
    title: Read a pet
    effect: read
    class: read
    input: { schema: { type: object, required: [ id ] } }
    run: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/{id}' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-inline-function-is-called, version: '1.0.0' }
    use:
      functions:
        pet:
          input: { schema: { document: { type: object, required: [ number ] } } }
          call: pet-read:1.0.0
          with: { id: '${ .number }' }
          output: { as: .name }
    do:
      - read: { call: pet, with: { number: 1 } }
    """
    When the workflow is executed
    And the approval is granted
    Then the workflow should complete with output:
    """yaml
    Milou
    """

  Scenario: An inline function that nobody agrees to does nothing
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-inline-function-that-nobody-agrees-to, version: '1.0.0' }
    use: { functions: { three: { run: { shell: { command: 'printf 3' } } } } }
    do:
      - count: { call: three }
    """
    When the workflow is executed
    And the approval is denied
    Then the workflow should fault with error:
    """yaml
    type: https://omnihub.dev/errors/approval-denied
    status: 403
    """

  Scenario: A function that calls itself is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-function-that-calls-itself, version: '1.0.0' }
    use: { functions: { one: { call: two }, two: { call: one } } }
    do:
      - a: { call: one }
    """
    When the workflow is published
    Then the workflow should be refused with OH-2103
