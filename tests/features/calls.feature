Feature: Calls
  HTTP and OpenAPI: what is sent, what comes back, and what an answer means.

  Scenario: Places in an endpoint are filled with members of the data
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: places-in-an-endpoint-are-filled-with-members-of-t, version: '1.0.0' }
    do:
      - look: { call: http, with: { method: get, endpoint: 'https://<outside>/echo/{id}?q={word}' }, output: { as: '{ path, query }' } }
    """
    And given the workflow input is:
    """yaml
    { id: 'a/b', word: 'x y' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    path: /echo/a%2Fb
    query: q=x%20y
    """

  Scenario: An endpoint may be an expression
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-endpoint-may-be-an-expression, version: '1.0.0' }
    do:
      - look: { call: http, with: { method: get, endpoint: '${ "https://<outside>/echo/" + .id }' }, output: { as: .path } }
    """
    And given the workflow input is:
    """yaml
    id: seven
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    /echo/seven
    """

  Scenario: Query and headers are computed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: query-and-headers-are-computed, version: '1.0.0' }
    do:
      - look: { call: http, with: { method: get, endpoint: 'https://<outside>/echo', query: { q: '${ .word }', n: '1' }, headers: { X-Word: '${ .word }' } }, output: { as: '{ query, word: .headers["x-word"] }' } }
    """
    And given the workflow input is:
    """yaml
    word: pear
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    query: q=pear&n=1
    word: pear
    """

  Scenario: The whole answer, and the answer as it is
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-whole-answer-and-the-answer-as-it-is, version: '1.0.0' }
    do:
      - whole: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/1', output: response }, output: { as: '{ status: .statusCode, pet: .content.name, asked: .request.method }' }, export: { as: . } }
      - raw: { call: http, with: { method: get, endpoint: 'https://<outside>/v2/pet/1', output: raw }, output: { as: '{ whole: $context, raw: (. | @base64d | fromjson | .id) }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    whole: { status: 200, pet: Milou, asked: GET }
    raw: 1
    """

  Scenario: Basic authentication
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: basic-authentication, version: '1.0.0' }
    do:
      - sign-in:
          call: http
          with:
            method: get
            endpoint: { uri: 'https://<outside>/basic-auth/ada/lovelace', authentication: { basic: { username: ada, password: lovelace } } }
          output: { as: .authenticated }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    true
    """

  Scenario: A reusable authentication is named
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-reusable-authentication-is-named, version: '1.0.0' }
    use: { authentications: { me: { basic: { username: ada, password: lovelace } } } }
    do:
      - sign-in:
          call: http
          with:
            method: get
            endpoint: { uri: 'https://<outside>/basic-auth/ada/lovelace', authentication: { use: me } }
          output: { as: .user }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    ada
    """

  Scenario: An answer of 404 is a communication error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-answer-of-404-is-a-communication-error, version: '1.0.0' }
    do:
      - look: { call: http, with: { method: get, endpoint: 'https://<outside>/status/404' } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/communication
    status: 404
    instance: /do/0/look
    """

  Scenario: A host that is not allowed is refused by the guard
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-host-that-is-not-allowed-is-refused-by-the-guard, version: '1.0.0' }
    do:
      - look: { call: http, with: { method: get, endpoint: 'https://elsewhere.invalid/' } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://omnihub.dev/errors/egress-refused
    status: 403
    """

  Scenario: A member that leads out of its place is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-member-that-leads-out-of-its-place-is-refused, version: '1.0.0' }
    do:
      - look: { call: http, with: { method: get, endpoint: 'https://<outside>/echo/{id}/x' } }
    """
    And given the workflow input is:
    """yaml
    id: '..'
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/validation
    status: 400
    """

  @once
  Scenario: A write that nobody reviewed asks a person
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-write-that-nobody-reviewed-asks-a-person, version: '1.0.0' }
    do:
      - send: { call: http, with: { method: post, endpoint: 'https://<outside>/echo', body: { a: 1 } }, output: { as: .json } }
    """
    When the workflow is executed
    And the approval is granted
    Then the workflow should complete with output:
    """yaml
    a: 1
    """

  Scenario: A write that a person denies does not happen
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-write-that-a-person-denies-does-not-happen, version: '1.0.0' }
    do:
      - send: { call: http, with: { method: post, endpoint: 'https://<outside>/echo', body: { a: 1 } } }
    """
    When the workflow is executed
    And the approval is denied
    Then the workflow should fault with error:
    """yaml
    type: https://omnihub.dev/errors/approval-denied
    status: 403
    """

  Scenario: OpenAPI 3.0: path, query, header and cookie in their styles
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: openapi-3-0-path-query-header-and-cookie-in-their, version: '1.0.0' }
    do:
      - look:
          call: openapi
          with:
            document: { endpoint: 'https://<outside>/openapi/echo-3.0.yaml' }
            operationId: getThing
            parameters: { id: 'a/b', tags: '${ .tags }', filter: { from: 1, to: 2 }, X-Trace: t1, session: s 1 }
          output: { as: '{ path, query, trace: .headers["x-trace"], cookie: .headers.cookie, accept: .headers.accept }' }
    """
    And given the workflow input is:
    """yaml
    tags: [ red, green & blue ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    path: /echo/things/a%2Fb
    query: tags=red,green%20%26%20blue&filter%5Bfrom%5D=1&filter%5Bto%5D=2
    trace: t1
    cookie: session=s%201
    accept: application/json
    """

  Scenario: OpenAPI 3.1: a path item by reference, and the matrix style
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: openapi-3-1-a-path-item-by-reference-and-the-matri, version: '1.0.0' }
    do:
      - look:
          call: openapi
          with: { document: { endpoint: 'https://<outside>/openapi/echo-3.1.json' }, operationId: matrix, parameters: { p: [ a, b ] } }
          output: { as: .path }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    /echo/matrix/;p=a;p=b
    """

  Scenario: OpenAPI 2.0: a list in its collection format
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: openapi-2-0-a-list-in-its-collection-format, version: '1.0.0' }
    do:
      - find:
          call: openapi
          with: { document: { endpoint: 'https://<outside>/v2/swagger.json' }, operationId: findPetsByStatus, parameters: { status: [ sold, available ] }, output: response }
          output: { as: '{ uri: (.request.uri | split("?")[1]), status: .statusCode, pets: (.content | length) }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    uri: status=sold&status=available
    status: 200
    pets: 2
    """

  Scenario: A server's variable is one of those that are allowed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-server-s-variable-is-one-of-those-that-are-allow, version: '1.0.0' }
    do:
      - look:
          call: openapi
          with: { document: { endpoint: 'https://<outside>/openapi/echo-3.0.yaml' }, operationId: getThing, parameters: { id: x, 'server:base': elsewhere } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/validation
    status: 400
    """

  Scenario: An unknown operation is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-unknown-operation-is-refused, version: '1.0.0' }
    do:
      - look: { call: openapi, with: { document: { endpoint: 'https://<outside>/openapi/echo-3.0.yaml' }, operationId: getThings } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1081

  Scenario: A parameter that is missing is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-parameter-that-is-missing-is-refused, version: '1.0.0' }
    do:
      - look: { call: openapi, with: { document: { endpoint: 'https://<outside>/openapi/echo-3.0.yaml' }, operationId: getThing } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1082

  Scenario: What is no description is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: what-is-no-description-is-refused, version: '1.0.0' }
    do:
      - look: { call: openapi, with: { document: { endpoint: 'https://<outside>/openapi/page.html' }, operationId: getThing } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1080

  Scenario: A description behind a door that is closed is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-description-behind-a-door-that-is-closed-is-refu, version: '1.0.0' }
    do:
      - look: { call: openapi, with: { document: { endpoint: 'https://elsewhere.invalid/openapi.json' }, operationId: getThing } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1080

  Scenario: A description that changes later changes nothing that is published
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-description-that-changes-later-changes-nothing-t, version: '1.0.0' }
    do:
      - look:
          call: openapi
          with: { document: { endpoint: 'https://<outside>/v2/swagger.json' }, operationId: getPetById, parameters: { petId: 1 } }
          output: { as: .name }
    """
    When the workflow is published
    And the description of the pet store changes
    And the runtime restarts
    And the workflow is executed
    Then the workflow should complete with output:
    """yaml
    Milou
    """

  Scenario: An action of the catalogue calls an operation
    Given an action with definition:
    """yaml
    action: thing-put:1.0.0
    title: Store a thing
    effect: write
    class: idempotent
    blastRadius: { scope: record, max: 1, unit: thing }
    idempotency: { key: '$workflow.id + "/" + .id', header: Idempotency-Key }
    input: { schema: { type: object, required: [ id, name ] } }
    run:
      call: openapi
      with:
        document: { endpoint: 'https://<outside>/openapi/echo-3.0.yaml' }
        operationId: putThing
        parameters: { id: '${ .id }', body: { name: '${ .name }' } }
    output: { as: '{ method, path, body: .json, key: .headers["idempotency-key"] }' }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-action-of-the-catalogue-calls-an-operation, version: '1.0.0' }
    do:
      - store: { call: 'thing-put:1.0.0', with: { id: seven, name: pear } }
    """
    When the workflow is executed
    Then the workflow should complete
    And the workflow output should have a 'body' property with value:
    """yaml
    name: pear
    """
    And the workflow output should have a 'method' property with value:
    """yaml
    PUT
    """
    And the workflow output should have a 'path' property with value:
    """yaml
    /echo/things/seven
    """
    And the workflow output should have a 'key' property with value:
    """yaml
    kit-execution/seven
    """

  Scenario: An action that says it reads cannot call an operation that writes
    Given an action with definition:
    """yaml
    action: thing-put:1.0.0
    effect: read
    class: read
    run: { call: openapi, with: { document: { endpoint: 'https://<outside>/openapi/echo-3.0.yaml' }, operationId: putThing, parameters: { id: x, body: {} } } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-action-that-says-it-reads-cannot-call-an-operat, version: '1.0.0' }
    do:
      - store: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1064
